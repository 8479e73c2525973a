"""Tests of commitments, draws of audits and verdicts."""
