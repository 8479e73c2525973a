"""
A whole network of real processes on this machine, started, watched and ended together.

Nothing of a node runs in this process: it writes folders, starts commands, reads what they print
and what their status sockets answer, and ends them all whatever happens.
"""
