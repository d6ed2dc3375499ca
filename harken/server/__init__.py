"""Models behind a port: an engine that writes many answers at once, an application around it, a file for each protocol."""
