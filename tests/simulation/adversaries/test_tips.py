"""What an author loses that leaves claims out of its own blocks."""

import pytest

from potp2p.foundation.types import Amount, Height, NodeId
from potp2p.simulation.adversaries.tips import BookedClaim, Claims, tips_forgone

RIVAL, OTHER = NodeId(b"\x02" * 33), NodeId(b"\x03" * 33)
AUTHORS = {
    Height(height): author
    for height, author in enumerate((RIVAL, OTHER, RIVAL, OTHER, RIVAL), start=1)
}


def booked(height: int, encoded: bytes = b"claim") -> BookedClaim:
    return BookedClaim(encoded, Height(height), AUTHORS[Height(height)], Amount(7))


@pytest.mark.parametrize(
    ("hidden", "height", "lost"),
    [
        ({3: b"claim"}, 4, 7),
        ({1: b"claim", 3: b"claim"}, 4, 7),
        ({1: b"claim"}, 4, 7),
        ({3: b"claim"}, 5, 0),
        ({2: b"claim"}, 4, 0),
        ({5: b"claim"}, 4, 0),
        ({3: b"other"}, 4, 0),
        ({}, 4, 0),
    ],
    ids=[
        "another took it in",
        "it counts once",
        "much later",
        "its own later block has it",
        "the block that left it out was not the one that stood",
        "it was in the chain before",
        "another claim",
        "nothing was left out",
    ],
)
def test_tip_is_forgone_where_another_block_has_what_an_own_one_left_out(
    hidden: dict[int, bytes], height: int, lost: int
) -> None:
    left_out = {Height(at): frozenset({encoded}) for at, encoded in hidden.items()}
    assert tips_forgone(RIVAL, left_out, Claims(AUTHORS, (booked(height),))) == lost
