"""From a model to text: options, the choice of a token, one loop over the model protocol. No torch at import in `options`."""
