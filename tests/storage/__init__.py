"""Tests of what must survive on disk."""
