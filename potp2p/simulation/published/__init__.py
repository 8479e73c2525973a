"""
The published table of the original Proof of Training code, with our machine in its place.

Same set-up: every message takes 10 to 100 % of 350 ms, uniformly; links of 30 or 125 Mbit/s; 10,
30 and 50 validators; transactions of about 300 bytes, submitted at time 0 at random validators;
the time until the last of them is final on a quorum.

Simulated: the clock, latencies (from the seed), bandwidth (each node sends and receives at the
link's rate; its connections share its uplink message by message), the gossip mesh, one processor
per node that does one thing at a time, the waits for batches, blocks and disks.
Real: the replica of production decides everything; messages are encoded to know their sizes.
Measured on this machine before the first run, by the real functions: signing, checking and
decoding a vote, admitting, assembling and executing a transaction, block roots, short ids, syncs.
Not modelled: the client's link, lost packets, the cost of Noise, Yamux and GossipSub inside the
library unless it was measured and given (`Costs.send`, `Costs.receive`), contents of transactions:
bytes are counted at the published size, work is that of transfers.
"""
