"""A whole network of real processes on this machine, started, watched and ended together."""
