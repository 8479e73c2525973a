"""Builds a node from adapters and services and runs it; holds no logic."""
