"""Tests of what honest nodes must agree on."""
