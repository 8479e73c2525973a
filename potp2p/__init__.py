"""A peer-to-peer network whose chain is secured by training that people asked for."""
