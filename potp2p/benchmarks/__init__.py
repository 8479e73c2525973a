"""Figures of real processes on this machine; each comes from a command that anybody can repeat."""
