"""Texts that keep to a grammar: what the next token may be, which llguidance says, and how a text can still end in time, said here."""
