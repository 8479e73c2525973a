"""Tests of the status documents."""
