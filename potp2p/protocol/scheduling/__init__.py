"""What work exists, how it is cut, and who does it."""
