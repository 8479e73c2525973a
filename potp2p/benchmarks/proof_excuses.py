"""Kinds of adversaries that need not lose money for `bench proof` to succeed, and why not."""

from typing import Final

from potp2p.simulation.adversaries.kinds import Kind

ALLOWED: Final[dict[Kind, str]] = {
    Kind.DATA_WITHHOLDING_CLIENT: (
        "every client may go once f + 1 validators attest its package: they keep and serve it, "
        "auditors replay from them, and every lease is paid; it gains and loses nothing"
    ),
}
"""Kinds that do what anybody may, and why: to gain exactly nothing by it is no failure."""
BY_CHANCE: Final[dict[Kind, str]] = {
    Kind.RIVAL_AUTHOR: (
        "what it leaves out stands a few blocks later, and no lease pays it more for that; but it "
        "moves the draws, so that everybody ends with a little more or less than beside an honest "
        "author: what it gains beyond the other miners may not be told from that"
    ),
}
"""Kinds whose lie moves no money but the draws, and why: a gain must lie outside their chance."""
CHANCE: Final = 3
"""Standard errors: what 95 % of chance stays within, where four honest miners show its size."""
