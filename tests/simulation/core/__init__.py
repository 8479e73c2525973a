"""Tests of the core simulator, and campaigns over the consensus core."""
