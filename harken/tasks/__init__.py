"""Tasks: what people ask of a model, one file each, and `pipeline()`, which answers."""
