"""Processes of ours on this machine: started, watched, measured and ended together."""
