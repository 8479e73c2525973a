"""From what came of everybody to the figures of `bench proof`, and to the table people read."""

from collections.abc import Sequence
from statistics import mean
from typing import Final, cast

from potp2p.benchmarks.proof_plan import (
    COMPARED,
    DEVNET_RATE,
    PPM,
    TESTNET_RATE,
    ProofPlan,
    control_of,
)
from potp2p.benchmarks.proof_profit import beside_honest, leases_lost, profit_of, rounded
from potp2p.benchmarks.proof_rows import (
    Document,
    deeds_of,
    is_control,
    is_honest_miner,
    members,
    number,
    plan_in,
    rows_of,
    runs_with,
    total_of,
)
from potp2p.simulation.adversaries.kinds import Kind

COMMITTEE: Final = 2
COST_MAX_DEVNET: Final = 0.26
COST_MAX_TESTNET: Final = 0.12
DELAY_MAX: Final = 1.05
REPLAY_MIN: Final = 0.8
"""Of a lease: a replay does all that a lease does but write, so less is no measurement."""
ACCURACY_LOSS_MAX: Final = 0.01
NO_ACCURACY: Final[Document] = {"clean": None, "by_kind": {}, "plain_averaging": {}, "rounds": 0}
AUDITS_MIN: Final = 3
"""Of each kind, before its catch rate says anything."""
HONEST_AUDITS_MIN: Final = 2_000
"""In a full run."""
CHANCE: Final = 3
"""Standard errors: what 95 % of chance stays within, where four honest miners show its size."""
BORDERLINE: Final[dict[Kind, str]] = {}
"""Kinds that no audit can tell from honest noise in the class of this task, and why."""


def honest_figures(worlds: Sequence[Document], replays: Sequence[Document]) -> Document:
    """
    Count what happened to the honest miners' contributions in every run.

    To these come the replays of `bench replay`, where there are any: across thread counts and
    instruction sets, of which one that did not pass counts as rejected.
    """
    rows = [row for world in worlds for row in rows_of(world) if is_honest_miner(row)]
    other = [cast("dict[str, int]", each["honest"]) for each in replays]
    return {
        "audited": sum(number(row, "audited") for row in rows)
        + sum(each["audited"] for each in other),
        "rejected": sum(number(row, "rejected") for row in rows)
        + sum(each["rejected"] for each in other),
        "audited_in_networks": sum(number(row, "audited") for row in rows),
        "contributions": sum(number(row, "accepted") + number(row, "void") for row in rows),
        "missed": sum(number(row, "missed") for row in rows),
    }


def adversary_figures(
    plan: ProofPlan, certain: Sequence[Document], profit: Sequence[Document]
) -> list[Document]:
    """Return one line for each kind."""
    return [_figure(kind, certain, profit) for kind in Kind if kind in plan.kinds]


def _figure(kind: Kind, certain: Sequence[Document], profit: Sequence[Document]) -> Document:
    surely, long = runs_with(kind, certain), runs_with(kind, profit)
    controls = {plan_in(world)["name"]: world for world in (*certain, *profit) if is_control(world)}
    measured = long or surely
    beside = (
        (each, controls.get(control_of(cast("str", plan_in(each)["name"])))) for each in measured
    )
    compared = [
        (world, control) for world, control in beside if control is not None or kind not in COMPARED
    ]
    ratios = [profit_of(kind, world, control) for world, control in compared]
    tested = sum(_tested(kind, world) for world in surely)
    caught = sum(_caught(kind, world) for world in surely)
    if kind is Kind.SELF_DEALING_CLIENT:
        # Nothing about it is forbidden: each lease that it paid itself for is a loss, or is not.
        tested = sum(total_of(world, kind, "accepted") for world in surely)
        caught = tested if ratios and max(ratios) < 0 else 0
    banned = [
        number(row, "banned_in_round")
        for world in measured
        for row in members(world, kind)
        if row["banned_in_round"] is not None
    ]
    return {
        "kind": str(kind),
        "audited": tested,
        "caught": caught,
        "catch_rate": round(caught / tested, 4) if tested else None,
        "rounds_to_ban": round(mean(banned), 1) if banned else None,
        "profit_ratio": rounded(mean(ratios)) if ratios else None,
        "profit_rounds": number(measured[0], "rounds") if measured else 0,
        "profit_audit_rate_ppm": plan_in(measured[0])["audit_rate"] if measured else None,
        "compute_saved": _saved(kind, measured),
        "borderline": kind in BORDERLINE,
        **beside_honest(kind, compared),
    }


def _tested(kind: Kind, world: Document) -> int:
    """Return how often the protocol had to decide about a crime."""
    match kind:
        case Kind.RIVAL_AUTHOR:
            return deeds_of(world, kind, "left out")
        case Kind.DATA_WITHHOLDING_CLIENT:
            return sum(number(row, "audited") for row in rows_of(world))
        case _:
            return total_of(world, kind, "tested")


def _caught(kind: Kind, world: Document) -> int:
    """Return how often it decided against the criminal, or the crime led to nothing."""
    honest = [row for row in rows_of(world) if is_honest_miner(row)]
    match kind:
        case Kind.RIVAL_AUTHOR:
            return max(0, _tested(kind, world) - leases_lost(world))
        case Kind.DATA_WITHHOLDING_CLIENT:
            unpaid = sum(number(row, "void") for row in honest)
            return max(0, _tested(kind, world) - unpaid)
        case _:
            return total_of(world, kind, "caught")


def _saved(kind: Kind, worlds: Sequence[Document]) -> float | None:
    """Return the part of its own leases or replays that a kind did not compute."""
    asked = sum(
        deeds_of(world, kind, f"asked to {work}")
        for world in worlds
        for work in ("train", "replay")
    )
    done = sum(
        deeds_of(world, kind, f"computed {work}")
        for world in worlds
        for work in ("train", "replay")
    )
    half = 0.5 if kind is Kind.HALF_WORK else 0.0
    return round(1 - done / asked * (1 - half), 3) if asked else None


def cost_figures(worlds: Sequence[Document]) -> Document:
    """Return what audits cost: computing, and time until the next round."""
    by_name = {cast("str", plan_in(world)["name"]): world for world in worlds}
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
    Tell whether a kind is always caught and loses money: to gain nothing is not enough.

    Where balances with and without its lies are shown too, they must show no gain beyond chance.
    """
    profit = figure["profit_ratio"]
    beside = cast("float", figure.get("beside_honest", 0.0))
    error = cast("float", figure.get("beside_honest_error", 0.0))
    loses = isinstance(profit, float) and profit < 0 and beside <= CHANCE * error
    is_caught = figure["borderline"] is True or figure["caught"] == figure["audited"]
    return is_caught and loses and number(figure, "audited") >= AUDITS_MIN


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
            + _beside(figure)
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


def _beside(figure: Document) -> str:
    if "beside_honest" not in figure:
        return ""
    beside = f", {figure['beside_honest']} beside the same without its lies"
    error = figure["beside_honest_error"]
    return f"{beside} (+- {error})" if error else beside


def _unbeaten(document: Document) -> list[str]:
    figures = cast("list[Document]", document["adversaries"])
    return [cast("str", each["kind"]) for each in figures if not _is_beaten(each)]


def _shown(value: object) -> str:
    return "--" if value is None else str(value)
