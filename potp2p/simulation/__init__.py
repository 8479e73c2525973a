"""Networks in virtual time: one seed, faults and liars, and an oracle that shares no code."""
