"""Tests of whole nodes, wired as in production."""
