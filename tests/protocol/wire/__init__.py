"""Tests of protocol/wire."""
