"""What clients speak: a file for each protocol, over the same engine."""
