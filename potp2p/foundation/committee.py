"""Committee arithmetic: how many may lie, and how many must agree (consensus.md section 1)."""


def faulty_max(validators: int) -> int:
    """Return f = floor((n - 1) / 3): how many validators may be arbitrary."""
    return (validators - 1) // 3


def weak_quorum(validators: int) -> int:
    """Return f + 1: at least one of them is honest."""
    return faulty_max(validators) + 1


def quorum(validators: int) -> int:
    """Return floor(2n / 3) + 1: any two such sets share an honest validator; equals n - f."""
    return 2 * validators // 3 + 1
