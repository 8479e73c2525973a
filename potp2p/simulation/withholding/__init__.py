"""
What a league of primaries gains by withholding: the real beacon, order and skip rule, many draws.

A primary knows the beacon that its reveal leads to. One of a league may miss its turn instead, so
that the next view's primary reveals; the chain's record of missed turns then leaves it out for a
while. The league looks ahead over all turns of its own that follow each other, since nothing of an
honest reveal is known before. It wants one contribution of its own to go through: not drawn for an
audit, or drawn and judged by auditors of its own (DESIGN section 8); or the first rank of every
height's lottery.
"""
