"""One file per command or noun."""
