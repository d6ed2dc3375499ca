"""Texts that keep to a grammar: what the next token may be, and how a text can still end in time. llguidance says the first, this the second."""
