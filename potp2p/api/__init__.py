"""What the node answers to programs on this machine: its status, read only."""
