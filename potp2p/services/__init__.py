"""trio tasks of a node: one owner per state, bounded channels between them."""
