"""harken turns text into a Transformer that is yours."""
