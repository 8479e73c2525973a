"""
The law of money and work: a state under an authenticated map, changed by one pure function.

Records live under byte keys (`keys.py`); `apply` changes them through an overlay; at the end of a
block the overlay's writes are put into the map in one batch and its new root goes into the header.
Money is checked to be conserved in every block.

Departures from DESIGN, on purpose. The frame names its first view beside the primary, since after a
full turn of views the primary alone does not say how many turns were missed. Every round leases all
its shards whatever the number of miners, and a miner's rate only decides its part: else the result
of a gradient round would depend on who is there. The half of a slash that is not burned joins the
task's escrow, which pays auditors and then the client; paid to the auditors of one audit it would
reward keeping an honest reveal out of the chain. A contribution drawn for an audit that nobody may
judge is void, not passed. Authors that lost their rank are drawn all the same and skipped, so that
a draw can be redone from the certificate alone. A registration's stamp must exceed the one before.

Left out of this first form, behind the final seams (DESIGN section 15): commit-reveal of round
results, bonds from pay, forced inclusion, base fee, auditors other than validators, escalation and
the replacement of an absent auditor (both leave a contribution void), changes of seats, the second
lease of a shard at half time.
"""
