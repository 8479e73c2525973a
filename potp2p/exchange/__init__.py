"""Content-addressed files between peers, over the ports of network and storage; nodes and clients share it."""
