"""The field's metrics: each keeps a few numbers an example, and says what follows from any choice of examples."""
