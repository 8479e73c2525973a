"""
Decoder fuzzing: every decoder of peers', disk or operator's bytes, under one property.

A decoder answers or refuses with its named error; it takes at most ten times its input in memory
beside a small allowance; what was encoded decodes to the same value; what decodes encodes to the
same bytes. `python -m tests.fuzz --seconds 600` runs it; `register.py` says where bytes are parsed.
"""
