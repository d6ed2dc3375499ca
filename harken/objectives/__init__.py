"""One file per training signal: how text becomes inputs and targets, and its loss. Models never compute losses."""
