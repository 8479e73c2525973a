"""Tests of scores, lottery, weights and pay."""
