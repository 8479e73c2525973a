"""What honest nodes must agree on: pure, integer-only, without clock, chance or I/O."""
