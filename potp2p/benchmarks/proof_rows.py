"""What a run of `bench proof` says, read by name: its plan, who took part, what came of them."""

from collections.abc import Iterable, Sequence
from typing import cast

from potp2p.simulation.adversaries.kinds import Kind, Place, place_of

Document = dict[str, object]


def rows_of(world: Document) -> list[Document]:
    """Return what came of each node."""
    return cast("list[Document]", world["rows"])


def plan_in(world: Document) -> Document:
    """Return what the run was asked for."""
    return cast("Document", world["plan"])


def members(world: Document, kind: Kind) -> list[Document]:
    """Return the rows of a kind."""
    return [row for row in rows_of(world) if row["kind"] == kind]


def runs_with(kind: Kind, worlds: Sequence[Document]) -> list[Document]:
    """Return the runs in which a kind lies."""
    return [
        world
        for world in worlds
        if not is_control(world) and (members(world, kind) or is_client_of(world, kind))
    ]


def is_control(world: Document) -> bool:
    """Tell whether everybody was honest in a run that is there to compare with."""
    return plan_in(world)["reformed"] is True


def is_client_of(world: Document, kind: Kind) -> bool:
    """Tell whether a kind took part without a node of its own."""
    return place_of(kind) is Place.CLIENT and kind in cast("list[str]", plan_in(world)["kinds"])


def is_honest_miner(row: Document) -> bool:
    """Tell whether a row is that of a miner that never lied."""
    return row["kind"] is None and row["place"] == Place.MINER


def number(row: Document, name: str) -> int:
    """Return a count, or money in base units."""
    return cast("int", row[name])


def total_of(world: Document, kind: Kind, name: str) -> int:
    """Add a count up over a kind."""
    return sum(number(row, name) for row in members(world, kind))


def deeds_of(world: Document, kind: Kind, deed: str) -> int:
    """Return how often a kind did something."""
    found: Iterable[dict[str, int]] = (
        cast("dict[str, int]", row["deeds"]) for row in members(world, kind)
    )
    return sum(each.get(deed, 0) for each in found)
