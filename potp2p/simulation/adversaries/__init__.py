"""
Adversaries: what each hopes to gain, and what should stop it.

Each is one class that acts through the ports of a whole, honest node: instead of its device, its
outbox, its blobs. The same class runs in the simulator and, in a process of its own, on a devnet.
"""
