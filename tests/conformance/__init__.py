"""
Frozen bytes: what two versions of this software must agree on to talk, vote and store.

A failure says that a format, a bound or a rule has changed. Approve the new one, where it is meant,
with `python -m tests.conformance.regenerate`, and commit `vectors.json` with the change.
"""
