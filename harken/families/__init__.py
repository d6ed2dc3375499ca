"""One file per paper: a config whose fields are config.json's own, `build` (a few constructor calls), and a name table."""
