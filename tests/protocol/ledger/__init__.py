"""Tests of the ledger: the law of money and work."""
