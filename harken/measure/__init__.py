"""How good a model is: loss, metrics, how sure they are, and what is had for nothing. Memory hardly grows with the data."""
