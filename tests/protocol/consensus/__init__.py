"""Tests of protocol/consensus."""
