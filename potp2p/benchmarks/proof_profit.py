"""What a kind of adversary gained by its lies, an honest miner's gain being one."""

from collections.abc import Sequence
from math import sqrt
from statistics import mean, stdev
from typing import Final

from potp2p.benchmarks.proof_plan import HONEST_BESIDES
from potp2p.benchmarks.proof_rows import (
    Document,
    is_honest_miner,
    members,
    number,
    rows_of,
    total_of,
)
from potp2p.simulation.adversaries.kinds import Kind, Place

PLACES: Final = 4


def profit_of(kind: Kind, world: Document, control: Document | None) -> float:
    """
    Return what a kind's league gained per member, in units of what an honest miner gained.

    Of those that do honest work besides it is what they own more than in the same run without
    their lies; of a seat, more than honest seats do; of a client, what it spent. A rival author is
    counted by what its blocks did, since its balance says more about the draws: it lost the tips
    that it left to others, and every lease that the others lost is taken as won by it.
    """
    rows, mine, unit = rows_of(world), members(world, kind), _unit(world)
    if kind is Kind.DATA_WITHHOLDING_CLIENT:
        return -number(world, "client_spent") / unit
    if kind is Kind.RIVAL_AUTHOR:
        price = _paid(world) / max(1, sum(number(row, "accepted") for row in rows))
        return (leases_lost(world) * price - total_of(world, kind, "forgone")) / len(mine) / unit
    if kind in HONEST_BESIDES:
        assert control is not None, "a run to compare with"
        return _balance(kind, world, control)
    seats = [
        number(row, "gain") for row in rows if row["kind"] is None and row["place"] == Place.SEAT
    ]
    total = 0.0
    for row in mine:
        total += number(row, "gain")
        if row["place"] == Place.SEAT:
            total -= mean(seats)
    leagues = len([row for row in mine if row["place"] == Place.MINER]) or len(mine)
    return total / leagues / unit


def _balance(kind: Kind, world: Document, control: Document) -> float:
    """Return what each of a kind owns more than in the same run without lies."""
    mine = members(world, kind)
    besides = {row["name"]: number(row, "gain") for row in rows_of(control)}
    total = float(sum(number(row, "gain") - besides[row["name"]] for row in mine))
    if kind is Kind.RIVAL_AUTHOR:
        # A run that takes some blocks longer pays everybody more.
        total -= len(mine) * mean(_differences(world, control))
    return total / len(mine) / _unit(world)


def leases_lost(world: Document) -> int:
    """Return how many of their leases honest miners were not paid for, for whatever reason."""
    honest = [row for row in rows_of(world) if is_honest_miner(row)]
    return sum(number(row, why) for row in honest for why in ("missed", "void", "rejected"))


def beside_honest(kind: Kind, compared: Sequence[tuple[Document, Document | None]]) -> Document:
    """
    Return what the balances say of a kind whose profit is not read from them: lies and no lies.

    A rival author's lie moves the draws, so that everybody ends with a little more or less: its
    balance says no more than that it gained nothing beyond its standard error. A client pays as
    much as one that stays, or its lie has brought something back.
    """
    pairs = [(world, control) for world, control in compared if control is not None]
    if not pairs:
        return {}
    match kind:
        case Kind.RIVAL_AUTHOR:
            errors = [_error(kind, *pair) for pair in pairs]
            error = sqrt(sum(each**2 for each in errors)) / len(errors)
            beside = mean(_balance(kind, *pair) for pair in pairs)
        case Kind.DATA_WITHHOLDING_CLIENT:
            error = 0.0
            beside = mean(
                (_paid(control) - _paid(world)) / _unit(world) for world, control in pairs
            )
        case _:
            return {}
    return {"beside_honest": rounded(beside), "beside_honest_error": round(error, PLACES)}


def _error(kind: Kind, world: Document, control: Document) -> float:
    """Return a profit's standard error: what honest miners of both runs differ by is chance."""
    differences = _differences(world, control)
    noise = stdev(differences) if len(differences) > 1 else 0.0
    return noise * sqrt(1 / len(members(world, kind)) + 1 / max(1, len(differences))) / _unit(world)


def _differences(world: Document, control: Document) -> list[int]:
    """Return what each honest miner gained more than in the same run without lies."""
    besides = {row["name"]: number(row, "gain") for row in rows_of(control)}
    return [
        number(row, "gain") - besides[row["name"]] for row in rows_of(world) if is_honest_miner(row)
    ]


def _unit(world: Document) -> float:
    """Return what an honest miner gained."""
    return max(1.0, mean([number(row, "gain") for row in rows_of(world) if is_honest_miner(row)]))


def _paid(world: Document) -> int:
    """Return what all miners of a run were paid for their leases."""
    return sum(number(row, "paid") for row in rows_of(world))


def rounded(ratio: float) -> float:
    """Round a ratio, but never a gain down to nothing."""
    return max(round(ratio, PLACES), 10**-PLACES) if ratio > 0 else round(ratio, PLACES)
