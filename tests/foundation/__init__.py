"""Tests of the names and amounts."""
