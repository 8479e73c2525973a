"""A peer-to-peer network in which the work that secures the chain is training that people asked for."""
