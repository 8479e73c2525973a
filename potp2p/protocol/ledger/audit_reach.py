"""How long a contribution may be under audit: what every bond must outlast."""

from potp2p.protocol.wire.genesis import Genesis


def audit_reach(genesis: Genesis) -> int:
    """
    Return the blocks within which a contribution is ruled on once its round's work is over.

    First f + 1 further primaries reveal: in as many heights as there are seats, n - f lead.
    """
    training = genesis.training
    longest = 3 * training.audit_deadline + training.challenge_window + training.audit_all_deadline
    return genesis.consensus.seats_max + longest
