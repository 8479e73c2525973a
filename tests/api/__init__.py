"""Tests of the local interface."""
