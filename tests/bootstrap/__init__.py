"""Tests of the bootstrap node."""
