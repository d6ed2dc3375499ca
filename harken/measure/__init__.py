"""How good a model is: loss, perplexity, bits per byte. Memory does not grow with the data."""
