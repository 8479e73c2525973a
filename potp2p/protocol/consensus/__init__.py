"""
PBFT without sockets, clocks or disks: one block per height, final when a quorum committed.

Rules. With n validators of equal power, f = floor((n-1)/3) may lie and a quorum is
q = floor(2n/3) + 1, so that two quorums share an honest member. The primary of a view proposes; all
execute, prepare, and commit on q prepares; q commits of any one view decide and are the seal. A
view that fails is left by a signed view change which carries the highest prepared certificate; the
next primary shows q of them and must propose the highest certified block again, else chooses
freely. A view never decreases within a height; f+1 higher views pull a replica to the smallest.

Timers. View 0 has `view_timeout` after the block interval. The timer of a later view starts only
when q signers have said that they are in it or beyond, and grows by 1.5 with each such view of the
height, exponent and delay capped: dispersed replicas then meet again. Own messages are repeated
every second and a status every two seconds is answered with exactly what is missing.

Deviations from PBFT (Castro and Liskov 1999). Signatures instead of MACs; one height at a time, so
no watermarks, null requests or CHECKPOINT; the primary's prepare counts, its proposal does not; a
proposal carries one full certificate, that of the highest claim (QBFT). A block's author is not its
primary: a replica that heard a better ranked body in time refuses a worse one, in views 0 to 2 only
and never against a prepared certificate (DESIGN section 4). Within the same limits it refuses a
block that leaves out a free transaction which it has held, valid, for some blocks (section 5). Such
a body binds no vote and is proposed by no primary that holds what is missing, one block earlier
than others refuse it; before that it is handed to authors and primaries (services/overdue.py). The
order of primaries is the ledger's.

What section 4's rules rest on, found by attacking them in potp2p.simulation.core. A body may bind a
vote only after it was executed: one that is merely well signed made all refuse the honest primaries
of views 0 to 2. The author window must be four network delays or more: half of it, which is what is
left after the binding half, covers the skew of two decisions and one relay; with less, a body
whispered to one validator and f votes withheld blame an honest primary. A primary that is slow but
not late is never skipped: at worst its share f/n of the heights takes the timer of view 0 each. A
league that fails every other turn would hardly be skipped if one success cleared its misses: a turn
kept forgives half a miss. Four adjacent liars (n >= 13) outlast the refusals of views 0 to 2.
"""
