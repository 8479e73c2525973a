"""Bugs planted in copies of the consensus code, each to be caught by a named layer of the tests."""
