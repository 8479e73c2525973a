"""Tests of the whole system, through real processes."""
