"""Fakes that unit tests share: no mocks, each a small honest implementation."""
