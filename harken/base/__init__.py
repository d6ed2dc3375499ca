"""What every layer may use: errors with one clear sentence, files that are whole or absent, and words on stderr."""
