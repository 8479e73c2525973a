"""Tests of the adversaries and of the network in which they act."""
