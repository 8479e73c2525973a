"""Content-addressed files between peers: what nodes and clients share above the ports."""
