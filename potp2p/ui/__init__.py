"""Pictures for a terminal, drawn from frozen status values."""
