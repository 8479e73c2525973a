"""From what came of everybody to the figures of `bench proof`, and to the table people read."""

from collections.abc import Iterable, Sequence
from math import sqrt
from statistics import mean, stdev
from typing import Final, cast

from potp2p.benchmarks.proof_excuses import ALLOWED, BY_CHANCE, CHANCE
from potp2p.benchmarks.proof_plan import (
    COMPARED,
    DEVNET_RATE,
    HONEST_BESIDES,
    PPM,
    TESTNET_RATE,
    ProofPlan,
    control_of,
)
from potp2p.simulation.adversaries.kinds import Kind, Place, place_of

Document = dict[str, object]
COMMITTEE: Final = 2
COST_MAX_DEVNET: Final = 0.26
COST_MAX_TESTNET: Final = 0.12
DELAY_MAX: Final = 1.05
REPLAY_MIN: Final = 0.8
"""Of a lease: a replay does all that a lease does but write, so less is no measurement."""
ACCURACY_LOSS_MAX: Final = 0.01
NO_ACCURACY: Final[Document] = {"clean": None, "by_kind": {}, "plain_averaging": {}, "rounds": 0}
PLACES: Final = 4
AUDITS_MIN: Final = 3
"""Of each kind, before its catch rate says anything."""
HONEST_AUDITS_MIN: Final = 2_000
"""In a full run."""
BORDERLINE: Final[dict[Kind, str]] = {}
"""Kinds that no audit can tell from honest noise in the class of this task, and why."""


def honest_figures(worlds: Sequence[Document], replays: Sequence[Document]) -> Document:
    """
    Count what happened to the honest miners' contributions in every run.

    To these come the replays of `bench replay`, where there are any: across thread counts and
    instruction sets, of which one that did not pass counts as rejected.
    """
    rows = [row for world in worlds for row in _rows(world) if _is_honest_miner(row)]
    other = [cast("dict[str, int]", each["honest"]) for each in replays]
    return {
        "audited": sum(_int(row, "audited") for row in rows)
        + sum(each["audited"] for each in other),
        "rejected": sum(_int(row, "rejected") for row in rows)
        + sum(each["rejected"] for each in other),
        "audited_in_networks": sum(_int(row, "audited") for row in rows),
        "contributions": sum(_int(row, "accepted") + _int(row, "void") for row in rows),
        "missed": sum(_int(row, "missed") for row in rows),
    }


def adversary_figures(
    plan: ProofPlan, certain: Sequence[Document], profit: Sequence[Document]
) -> list[Document]:
    """Return one line for each kind."""
    return [_figure(kind, certain, profit) for kind in Kind if kind in plan.kinds]


def _figure(kind: Kind, certain: Sequence[Document], profit: Sequence[Document]) -> Document:
    surely, long = _with(kind, certain), _with(kind, profit)
    controls = {_plan(world)["name"]: world for world in (*certain, *profit) if _is_control(world)}
    measured = long or surely
    beside = (
        (each, controls.get(control_of(cast("str", _plan(each)["name"])))) for each in measured
    )
    compared = [
        (world, control) for world, control in beside if control is not None or kind not in COMPARED
    ]
    ratios = [_profit(kind, world, control) for world, control in compared]
    tested = sum(_tested(kind, world) for world in surely)
    caught = sum(_caught(kind, world) for world in surely)
    if kind is Kind.SELF_DEALING_CLIENT:
        # Nothing about it is forbidden: each lease that it paid itself for is a loss, or is not.
        tested = sum(_sum(world, kind, "accepted") for world in surely)
        caught = tested if ratios and max(ratios) < 0 else 0
    banned = [
        _int(row, "banned_in_round")
        for world in measured
        for row in _of(world, kind)
        if row["banned_in_round"] is not None
    ]
    return {
        "kind": str(kind),
        "audited": tested,
        "caught": caught,
        "catch_rate": round(caught / tested, 4) if tested else None,
        "rounds_to_ban": round(mean(banned), 1) if banned else None,
        "profit_ratio": _rounded(mean(ratios)) if ratios else None,
        "profit_rounds": _int(measured[0], "rounds") if measured else 0,
        "profit_audit_rate_ppm": _plan(measured[0])["audit_rate"] if measured else None,
        "compute_saved": _saved(kind, measured),
        "borderline": kind in BORDERLINE,
        **_excuse(kind, compared),
        **_chance(kind, compared),
    }


def _rounded(ratio: float) -> float:
    """Round a ratio, but never a gain down to nothing."""
    return max(round(ratio, PLACES), 10**-PLACES) if ratio > 0 else round(ratio, PLACES)


def _chance(kind: Kind, compared: Sequence[tuple[Document, Document | None]]) -> Document:
    """Return how far from nothing a profit may be by the luck of the draws alone."""
    if kind not in BY_CHANCE:
        return {}
    errors = [_error(kind, world, control) for world, control in compared if control is not None]
    if not errors:
        return {}
    error = sqrt(sum(each**2 for each in errors)) / len(errors)
    return {"by_chance": BY_CHANCE[kind], "profit_error": round(error, PLACES)}


def _error(kind: Kind, world: Document, control: Document) -> float:
    """Return a profit's standard error: what honest miners of both runs differ by is chance."""
    differences = _differences(world, control)
    noise = stdev(differences) if len(differences) > 1 else 0.0
    return noise * sqrt(1 / len(_of(world, kind)) + 1 / max(1, len(differences))) / _unit(world)


def _differences(world: Document, control: Document) -> list[int]:
    """Return what each honest miner gained more than in the same run without lies."""
    besides = {row["name"]: _int(row, "gain") for row in _rows(control)}
    return [
        _int(row, "gain") - besides[row["name"]] for row in _rows(world) if _is_honest_miner(row)
    ]


def _unit(world: Document) -> float:
    """Return what an honest miner gained."""
    return max(1.0, mean([_int(row, "gain") for row in _rows(world) if _is_honest_miner(row)]))


def _excuse(kind: Kind, compared: Sequence[tuple[Document, Document | None]]) -> Document:
    """Return why a kind may gain nothing, with the money: base units, beside its honest run."""
    if kind not in ALLOWED:
        return {}
    money = [
        {
            "client_spent": world["client_spent"],
            "client_spent_reformed": control["client_spent"],
            "miners_paid": _paid(world),
            "miners_paid_reformed": _paid(control),
        }
        for world, control in compared
        if control is not None
    ]
    return {"allowed": ALLOWED[kind], "money": money}


def _tested(kind: Kind, world: Document) -> int:
    """Return how often the protocol had to decide about a crime."""
    match kind:
        case Kind.RIVAL_AUTHOR:
            return _deeds(world, kind, "left out")
        case Kind.DATA_WITHHOLDING_CLIENT:
            return sum(_int(row, "audited") for row in _rows(world))
        case _:
            return _sum(world, kind, "tested")


def _caught(kind: Kind, world: Document) -> int:
    """Return how often it decided against the criminal, or the crime led to nothing."""
    honest = [row for row in _rows(world) if _is_honest_miner(row)]
    match kind:
        case Kind.RIVAL_AUTHOR:
            late = sum(_int(row, "missed") + _int(row, "rejected") for row in honest)
            return max(0, _tested(kind, world) - late)
        case Kind.DATA_WITHHOLDING_CLIENT:
            unpaid = sum(_int(row, "void") for row in honest)
            return max(0, _tested(kind, world) - unpaid)
        case _:
            return _sum(world, kind, "caught")


def _profit(kind: Kind, world: Document, control: Document | None) -> float:
    """
    Return what a kind's league gained per member, in units of what an honest miner gained.

    Of those that do honest work besides it is what they own more than in the same run without
    their lies; of a seat, more than honest seats do. A client that withholds data gains what the
    miners are paid less than in the same run with a client that stays: what its auditors cost
    besides is the chance of the draws.
    """
    rows = _rows(world)
    unit = _unit(world)
    if kind is Kind.DATA_WITHHOLDING_CLIENT:
        assert control is not None, "a run to compare with"
        return (_paid(control) - _paid(world)) / unit
    seats = [
        _int(row, "gain") for row in rows if row["kind"] is None and row["place"] == Place.SEAT
    ]
    besides = {} if control is None else {row["name"]: row for row in _rows(control)}
    mine = _of(world, kind)
    total = 0.0
    for row in mine:
        total += _int(row, "gain")
        if row["place"] == Place.SEAT:
            total -= mean(seats)
        elif kind in HONEST_BESIDES:
            assert control is not None, "a run to compare with"
            total -= _int(besides[row["name"]], "gain")
    if kind in BY_CHANCE:
        assert control is not None, "a run to compare with"
        # A run that takes some blocks longer pays everybody more.
        total -= len(mine) * mean(_differences(world, control))
    leagues = len([row for row in mine if row["place"] == Place.MINER]) or len(mine)
    return total / leagues / unit


def _paid(world: Document) -> int:
    """Return what all miners of a run were paid for their leases."""
    return sum(_int(row, "paid") for row in _rows(world))


def _saved(kind: Kind, worlds: Sequence[Document]) -> float | None:
    """Return the part of its own leases or replays that a kind did not compute."""
    asked = sum(
        _deeds(world, kind, f"asked to {work}") for world in worlds for work in ("train", "replay")
    )
    done = sum(
        _deeds(world, kind, f"computed {work}") for world in worlds for work in ("train", "replay")
    )
    half = 0.5 if kind is Kind.HALF_WORK else 0.0
    return round(1 - done / asked * (1 - half), 3) if asked else None


def cost_figures(worlds: Sequence[Document]) -> Document:
    """Return what audits cost: computing, and time until the next round."""
    by_name = {cast("str", _plan(world)["name"]): world for world in worlds}
    measured = [
        cast("float", world["replay_per_train"])
        for world in worlds
        if world["replay_per_train"] is not None
    ]
    each = mean(measured) if measured else 1.0
    seen = {name: _observed(world) for name, world in by_name.items()}
    return {
        "audit_cost_ratio": round(DEVNET_RATE * COMMITTEE / PPM * each, 4),
        "audit_cost_ratio_testnet": round(TESTNET_RATE * COMMITTEE / PPM * each, 4),
        "audit_cost_observed": seen,
        "replay_per_train": round(each, 4),
        "round_delay_ratio": _delay(by_name.get("devnet"), by_name.get("off")),
    }


def _delay(audited: Document | None, free: Document | None) -> float | None:
    if audited is None or free is None:
        return None
    return round(_round_seconds(audited) / _round_seconds(free), 4)


def _observed(world: Document) -> float:
    """Return the replays per lease that a run came to; chance with few leases."""
    commands = cast("dict[str, int]", world["commands"])
    return round(commands.get("replay", 0) / max(1, commands.get("train", 0)), 4)


def _round_seconds(world: Document) -> float:
    starts = cast("list[float]", world["round_starts"])
    return (starts[-1] - starts[0]) / max(1, len(starts) - 1)


def is_within_targets(document: Document) -> bool:
    """Tell whether every figure is what the network promises, and none is missing."""
    if document["failed"]:
        return False
    honest = cast("dict[str, int]", document["honest"])
    accuracy = cast("dict[str, object]", document["accuracy"])
    clean = cast("float", accuracy["clean"])
    by_kind = cast("dict[str, float]", accuracy["by_kind"])
    figures = cast("list[Document]", document["adversaries"])
    return (
        honest["rejected"] == 0
        and (document["quick"] is True or honest["audited"] >= HONEST_AUDITS_MIN)
        and all(_is_beaten(each) for each in figures)
        and all(round(clean - each, 6) <= ACCURACY_LOSS_MAX for each in by_kind.values())
        and cast("float", document["replay_per_train"]) >= REPLAY_MIN
        and cast("float", document["audit_cost_ratio"]) <= COST_MAX_DEVNET
        and cast("float", document["audit_cost_ratio_testnet"]) <= COST_MAX_TESTNET
        and cast("float", document["round_delay_ratio"]) <= DELAY_MAX
    )


def _is_beaten(figure: Document) -> bool:
    """
    Tell whether a kind is always caught and loses money.

    To gain nothing is not enough, but for a kind that does nothing but what everybody may, and for
    one whose profit cannot be told from chance.
    """
    profit, error = figure["profit_ratio"], figure.get("profit_error")
    loses = isinstance(profit, float) and (
        profit < 0
        or (profit == 0 and figure["kind"] in ALLOWED)
        or (figure["kind"] in BY_CHANCE and isinstance(error, float) and profit <= CHANCE * error)
    )
    is_caught = figure["borderline"] is True or figure["caught"] == figure["audited"]
    return is_caught and loses and _int(figure, "audited") >= AUDITS_MIN


def proof_lines(document: Document) -> list[str]:
    """Return what people read: one line for each adversary, honest miner = 1.0."""
    failed = cast("list[Document]", document["failed"])
    honest = cast("dict[str, int]", document["honest"])
    accuracy = cast("Document", document["accuracy"] or NO_ACCURACY)
    by_kind = cast("dict[str, float]", accuracy["by_kind"])
    plain = cast("dict[str, float]", accuracy["plain_averaging"])
    lines = [
        *(f"FAILED         {each['run']}: {each['error']}" for each in failed),
        f"honest         {honest['audited']} audited, {honest['rejected']} rejected",
        f"accuracy       {_shown(accuracy['clean']):.5} clean, after {accuracy['rounds']} rounds",
        "",
        f"{'adversary':<24} {'audited':>7} {'caught':>6} {'ban after':>9} {'profit':>8} "
        f"{'accuracy':>8} {'plain mean':>10}",
    ]
    for figure in cast("list[Document]", document["adversaries"]):
        kind = cast("str", figure["kind"])
        lines.append(
            f"{kind:<24} {figure['audited']:>7} {figure['caught']:>6} "
            f"{_shown(figure['rounds_to_ban']):>9} {_shown(figure['profit_ratio']):>8} "
            f"{_shown(by_kind.get(kind)):>8} {_shown(plain.get(kind)):>10}"
            + (" borderline" if figure["borderline"] else "")
            + (" allowed" if "allowed" in figure else "")
            + (f" +- {figure['profit_error']}" if "profit_error" in figure else "")
        )
    return [
        *lines,
        "",
        f"audits cost    {document['audit_cost_ratio']} of the training on a devnet, "
        f"{document['audit_cost_ratio_testnet']} on a testnet",
        f"round delay    {document['round_delay_ratio']} times that without audits",
        f"not beaten     {', '.join(_unbeaten(document)) or 'nobody'}",
        f"took           {document['seconds']} s",
    ]


def _unbeaten(document: Document) -> list[str]:
    figures = cast("list[Document]", document["adversaries"])
    return [cast("str", each["kind"]) for each in figures if not _is_beaten(each)]


def _shown(value: object) -> str:
    return "--" if value is None else str(value)


def _rows(world: Document) -> list[Document]:
    return cast("list[Document]", world["rows"])


def _plan(world: Document) -> Document:
    return cast("Document", world["plan"])


def _of(world: Document, kind: Kind) -> list[Document]:
    return [row for row in _rows(world) if row["kind"] == kind]


def _with(kind: Kind, worlds: Sequence[Document]) -> list[Document]:
    """Return the runs in which a kind lies."""
    return [
        world
        for world in worlds
        if not _is_control(world) and (_of(world, kind) or _is_client_of(world, kind))
    ]


def _is_control(world: Document) -> bool:
    return _plan(world)["reformed"] is True


def _is_client_of(world: Document, kind: Kind) -> bool:
    """Tell whether a kind took part without a node of its own."""
    return place_of(kind) is Place.CLIENT and kind in cast("list[str]", _plan(world)["kinds"])


def _is_honest_miner(row: Document) -> bool:
    return row["kind"] is None and row["place"] == Place.MINER


def _int(row: Document, name: str) -> int:
    return cast("int", row[name])


def _sum(world: Document, kind: Kind, name: str) -> int:
    return sum(_int(row, name) for row in _of(world, kind))


def _deeds(world: Document, kind: Kind, deed: str) -> int:
    found: Iterable[dict[str, int]] = (
        cast("dict[str, int]", row["deeds"]) for row in _of(world, kind)
    )
    return sum(each.get(deed, 0) for each in found)
