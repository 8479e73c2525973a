"""Proof that the training happened: commitments, draws of audits, verdicts in integers."""
