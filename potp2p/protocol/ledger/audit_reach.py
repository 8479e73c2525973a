"""How long the phases of an audit take, by network and task: what every bond must outlast."""

from potp2p.protocol.wire.genesis import Genesis
from potp2p.protocol.wire.tasks import TaskRules


def replay_blocks(genesis: Genesis, rules: TaskRules) -> int:
    """
    Return the blocks of each phase of drawn auditors: to commit, to replace, to open.

    A replay computes as much as a lease, so it gets no less time than the task's own rounds.
    """
    training = genesis.training
    return max(training.audit_deadline, training.audit_rounds * rules.rounds.deadline)


def judges_blocks(genesis: Genesis, rules: TaskRules) -> int:
    """Return the blocks of each of the two phases of all judges: to commit, to open."""
    training = genesis.training
    both = max(training.audit_all_deadline, training.audit_all_rounds * rules.rounds.deadline)
    return both // 2


def audit_reach(genesis: Genesis, rules: TaskRules) -> int:
    """
    Return the blocks within which a contribution is ruled on once its round's work is over.

    First f + 1 further primaries reveal: in as many heights as there are seats, n - f lead. Then
    as many beacons as there are seats draw.
    """
    drawn = 3 * replay_blocks(genesis, rules) + genesis.training.challenge_window
    return 2 * genesis.consensus.seats_max + drawn + 2 * judges_blocks(genesis, rules)


def least_reach(genesis: Genesis) -> int:
    """Return the same for a task whose rounds are so short that they lengthen nothing."""
    training = genesis.training
    longest = 3 * training.audit_deadline + training.challenge_window + training.audit_all_deadline
    return 2 * genesis.consensus.seats_max + longest
