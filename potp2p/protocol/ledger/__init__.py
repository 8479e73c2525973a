"""
The law of money and work: a state under an authenticated map, changed by one pure function.

Records live under byte keys (`keys.py`); `apply` changes them through an overlay; at the end of a
block the overlay's writes are put into the map in one batch and its new root goes into the header.
Money is checked to be conserved in every block.

Departures from DESIGN, on purpose. The frame names its first view beside the primary, since after a
full turn of views the primary alone does not say how many turns were missed. Every round leases all
its shards whatever the number of miners, and a miner's rate only decides its part: else the result
of a gradient round would depend on who is there. Authors that lost their rank are drawn all the
same and skipped, so that a draw can be redone from the certificate alone. A registration's stamp
must exceed the one before.
A turn kept forgives half a missed one instead of all of them: a league that fails every other turn
was skipped for 2 heights at most and took n = 31 from 2 s a block to 3.75 s in the simulator.

Seats (seats.py, anchors.py, evidence.py). A node asks for a seat by its anchor for the next epoch,
once its bond suffices: no statement of its own is needed, and who asks in every epoch is there. The
next seats are fixed when the last block of an epoch opens, before its transactions, so that its
header can name them. Who sits wins a tie of bonds before node ids are compared, else an equal bond
with a ground key would throw anyone out. What was opened in an epoch (package, round) is judged to
its end by that epoch's seats, who left included; primaries that revealed count while they sit. A
double signature is slashed by the share of a failed audit, once per offence, and burned whole: no
reward to copy, no discount for accusing oneself. A convicted seat leads no view from the next
height on, within the f that may be left out, and goes first at the epoch's end. A miner's two
bodies cost rank, weight and leases, not its bond, and only while it has weight: a fresh key could
else leave records for ever. Evidence has no byte cap of its own: it is bounded by offences, and
each costs a block two signature checks.

What repeats another payload of its round leaves the set and is audited all the same, as is what it
repeats: void would cost a copier nothing. If its replay passes it stays void.

Audits (audits.py, audit_phases.py, rulings.py, challenges.py, convictions.py). Half of a slash is
burned; of the other half whoever proved it by a replay gets the price of an audit, and the rest
joins the task's escrow, which pays auditors and then the client. Where the miner showed no trace
nobody is rewarded: it would pay to keep an honest one out of the chain. Judges' traces are no
secret once auditors have opened; a quorum of judges is honest. A report that differs from the final
ruling is unpaid, and slashed where it is its opposite; who failed as a drawn auditor earns nothing
as a judge. An audit is worth no more than the lease that it repeats. The accused stakes what it
has: a conviction would take all of it; a newcomer an audit's price at least. Where judges find no
verdict an accuser loses its stake: a client could else dispute more than they can replay and have
it void for nothing. A bond outlasts the longest of these paths (audit_reach.py), which on a devnet
takes more than four epochs.

Fines (fines.py, round_sets.py). A claim that stands when its set is fixed, and that f + 1 judges
did not attest, costs its miner a part of what the lease would have paid (genesis: unserved_fine),
besides the lease, its rate and `live`. Each claim is fined once, whoever made it: the holder's, a
stand-in's, also where the other's won the shard. It comes out of the bond, what unbonds after it,
and is burned whole, by no task: neither client nor judges gain by a claim that fails. Pay that is
open is not touched, since nobody knows yet what it will be; it fills the bond again, and until then
the miner is a newcomer, and no auditor. Who has no bond loses the lease alone: a fresh key costs as
little. A payload that was dropped, flagged or rejected was served: no fine. What costs an honest
miner one is an uplink so slow that the whole attest window is too short, a node that stops right
after its claim, or a payload that fails the checks before attestation; a task's window is long
enough to look and to be heard (tasks.py); f judges that lie do not suffice, and where no claim of a
round was attested nobody is fined: then nobody looked.

Drift (verdict.py, rulings.py). Training may turn chaotic long after its task was calibrated: then a
rounding grows to percents within one lease, and a distance proves nothing. An auditor whose replay
is far from a payload replays once more from weights nudged by a rounding, and commits to how far
its own two lie apart too. Beyond half a tolerance what would fail is void, never a conviction; all
judges look, and where f + 1 of them say so it counts against the task, which ends at the third.
Cheating in such a task is unslashed, and unpaid where it is audited: it earns at most what is paid
before the third. False losses and traces cut short convict all the same, since nothing drifts in
them. The design calibrates at submission alone.

Fees and lanes (batch.py, lane.py, incentives/fees.py). The base fee follows whichever is scarcer of
the paid lane's bytes and transactions, and a network with a floor of zero has none. What it burns
buys no weight: else whoever pays himself would win blocks with it. Unbonding is free of it: who has
nothing but its bond must get it back. A paid transaction that fails is in no block and pays nothing
(a price on failing would pay authors for letting it fail): pools refuse what would fail next, so it
travels one hop. Paid ones keep to their half of a block, free ones may flow over into it. Which
free one comes first is the author's choice, by deadline; that none is left out for long is a rule
of votes, not of blocks (consensus): nobody can prove what a node has held.

Tips of claims (contributions.py, incentives/rewards.py; genesis: claim_tip). The first claim of a
lease leaves its block a tip, like a paid transaction: half for the ranked author, the rest for the
primary with its frame. The task pays it out of what the miner would get. The design pays authors
nothing for a claim, so that one that leaves rivals' claims out, as long as forced inclusion lets
it, lost nothing by it; now it loses the tip to the block that has them. It is due whatever becomes
of the lease, since the records need not remember who wrote which block; so a claim that is not
served costs its miner more than the whole tip (deterrence.py), and each lease tips once.

Draws and what they are over (each set is fixed before the last f + 1 different primaries revealed):
- authors of a height: weights frozen as the cycle opens, of results that were final before the last
  f + 1 reveals in front of their booking (booking.py, epochs.py); beacon of the last block.
- leases of a round: miners by what they said (offer, ready, a bond that came to suffice) below
  `drawable_below` (seats.py, miners.py, leasing.py); beacon of the last block. Each stands by a
  hash of its own key, so that nobody draws again by bringing or withdrawing one of its own.
- audits of a round: its set, with every probability, as it was fixed; from the first beacon after
  f + 1 further reveals on one for each judge, kept until the result is there (audits.py).
- stand-ins at half time: miners as for leases; beacon of the last block.
- auditors of a contribution: bonds, classes and payouts as the cycle opened in which its set was
  fixed (auditors.py), whom miner and client acted for as it was; the same beacon. For a replacement
  the last cycle and the last beacon. Who is busy counts by time, not by who has committed.
Zeros that a seat without anchor shows are no reveal in any of them.

Results (results.py). Commitments to a result end before anyone may show one, not with the first
that is shown: in between, whoever writes a block could let a copy in. Who shows one late is counted
and earns nothing; the share goes to those whose results made the quorum.

Newcomers (miners.py, leasing.py). An eighth of a round is kept exact on average: what does not
divide is one shard more in some rounds. Where no miner has a bond they take all. A record without
bond is dropped after two epochs away, or for another when the list is full, its ban with it: a
fresh key costs as little.

Half time (stand_ins.py). Where the first claim for a shard is a stand-in's, its holder still has
three quarters of the deadline: else an honest miner slower than half of it would lose `live` for
being beaten. A stand-in's claim takes the lease over in the table, so that audit, pay and receipt
are of who made it.
"""
