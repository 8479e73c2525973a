"""Verifying what others computed, on a device of this machine."""

from collections.abc import Sequence
from pathlib import Path
from random import SystemRandom
from tempfile import TemporaryDirectory
from typing import Final

import trio

from cli.exits import ExitCode
from cli.output import print_document, print_lines, say
from cli.work.confirm import confirm
from cli.work.explain import SCHEMA as CONTRIBUTION_SCHEMA
from cli.work.identity import Access, client_of, wallet_key
from potp2p.client.challenges import disputable, raise_challenge, stake_of
from potp2p.client.contributions import (
    Explained,
    PlaceName,
    explained,
    leases_of,
    place_of,
    read_place,
)
from potp2p.client.devices import open_devices
from potp2p.client.replay import Judgement, judge
from potp2p.client.round_check import RoundCheck, check_round
from potp2p.client.session import Client
from potp2p.client.task_names import read_digits, task_of
from potp2p.foundation.amounts import CURRENCY, format_amount
from potp2p.foundation.errors import ConfigurationError, MissingError
from potp2p.foundation.types import Amount, Round
from potp2p.observability.outcomes import MEASURES, UNSTABLE, VERDICTS, outcome_of, percent
from potp2p.protocol.ledger.records import Task
from potp2p.protocol.verification.verdict import PPM, Measure, Verdict

ROUNDS_MAX: Final = 1_000
"""Rounds that one command checks: hours of work."""
_WORDS: Final = {Verdict.PASS: "pass", Verdict.VOID: "void", Verdict.FAIL: "fail"}

Document = dict[str, object]


def verify_contribution(
    access: Access,
    text: str,
    device: str | None,
    *,
    challenge: bool,
    yes: bool,
    json_output: bool,
) -> int:
    """Replay one contribution, say what was found, and dispute what stands if that is asked for."""
    name = read_place(text)
    secret = wallet_key(access) if challenge else None
    document, judgement = trio.run(
        _verify_contribution, access, name, device, secret, yes, json_output
    )
    if json_output:
        print_document(document)
    return ExitCode.DONE if judgement.verdict is Verdict.PASS else ExitCode.ERROR


async def _verify_contribution(
    access: Access,
    name: PlaceName,
    device: str | None,
    secret: bytes | None,
    yes: bool,
    json_output: bool,
) -> tuple[Document, Judgement]:
    async with client_of(access, secret, apart=True) as client:
        found = await explained(client, await place_of(client, name))
        task = await client.task(found.place.task)
        async with open_devices(_names(device), say) as workers:
            judgement = await judge(client, workers, found, task)
        document = judgement_document(found, judgement)
        if not json_output:
            print_lines(*judgement_text(found, judgement))
        if secret is not None:
            document["challenge"] = await _dispute(client, found, task, judgement, yes=yes)
        return document, judgement
    raise AssertionError("the client's context returns or raises")


async def _dispute(
    client: Client, found: Explained, task: Task, judgement: Judgement, *, yes: bool
) -> Document | None:
    """Challenge what stands where our replay says otherwise; a void one says nothing."""
    if judgement.decides.is_excused:
        say(f"{UNSTABLE}: that convicts nobody, so nothing is challenged")
        return None
    if judgement.verdict is Verdict.VOID:
        say("between one tolerance and three: that convicts nobody, so nothing is challenged")
        return None
    # The chain has moved on while the replay ran.
    found = await explained(client, found.place)
    if disputable(found) is judgement.verdict:
        say("the chain says the same: there is nothing to challenge")
        return None
    stake = stake_of(client, found, task)
    expects_fail = judgement.verdict is Verdict.FAIL
    confirm(
        f"challenge {found.place} and stake {format_amount(stake)} {CURRENCY} of the bond of "
        f"{client.keys.address}? It is lost if the validators find otherwise.",
        yes=yes,
    )
    height = await raise_challenge(client, found, stake, expects_fail=expects_fail)
    say(f"challenged at height {height}; all validators replay it now")
    return _challenge_document(height, stake, expects_fail=expects_fail)


def _challenge_document(height: int, stake: Amount, *, expects_fail: bool) -> Document:
    expects = _WORDS[Verdict.FAIL if expects_fail else Verdict.PASS]
    return {"height": height, "stake": format_amount(stake), "expects": expects}


def judgement_text(found: Explained, judgement: Judgement) -> list[str]:
    """Return a judgement as a person reads it."""
    seconds = judgement.milliseconds / 1000
    lines = [
        f"contribution {found.place}",
        f"on the chain {outcome_of(found.receipt).text}",
        f"replayed     {VERDICTS[judgement.verdict]} ({seconds:.1f} s)",
    ]
    lines += [f"  {_measure(each)}" for each in judgement.measures]
    if judgement.instability is not None:
        apart = judgement.instability / PPM
        lines.append(f"  {'own two replays':<32} {apart:>10.3g}  tolerances apart")
    if judgement.decides.is_excused:
        lines.append(f"  {UNSTABLE}, so its distance proves nothing")
    if not judgement.trace_compared:
        lines.append("  the miner's trace is not public, so it was not compared")
    return lines


def _measure(measure: Measure) -> str:
    what = f"{MEASURES[measure.kind]:<32}"
    if not measure.tolerance:
        return f"{what} {'differ' if measure.measured else 'fit'}"
    return (
        f"{what} {percent(measure.measured):>10}  tolerance {percent(measure.tolerance):>6}  "
        f"{_WORDS[measure.verdict]}"
    )


def judgement_document(found: Explained, judgement: Judgement) -> Document:
    """Return a judgement as JSON values; distances and tolerances in parts per million."""
    return {
        "schema": "potp2p.verdict/1",
        "contribution": str(found.place),
        "contribution_schema": CONTRIBUTION_SCHEMA,
        "on_chain": outcome_of(found.receipt).code,
        "verdict": _WORDS[judgement.verdict],
        "decided_by": judgement.decides.kind.name.lower(),
        "measures": {
            each.kind.name.lower(): {
                "measured_ppm": each.measured,
                "tolerance_ppm": each.tolerance,
                "verdict": _WORDS[each.verdict],
            }
            for each in judgement.measures
        },
        "trace_compared": judgement.trace_compared,
        "instability_ppm": judgement.instability,
        "unstable": judgement.decides.is_excused,
        "milliseconds": judgement.milliseconds,
        "proved_height": found.height,
        "challenge": None,
    }


def verify_task(
    access: Access,
    text: str,
    rounds: str | None,
    sample: int,
    device: str | None,
    *,
    json_output: bool,
) -> int:
    """Recompute the checkpoints of rounds, and replay some contributions of each."""
    wanted = None if rounds is None else read_rounds(rounds)
    digits = read_digits(text)
    with TemporaryDirectory(prefix="potp2p-verify-") as folder:
        document, is_sound = trio.run(
            _verify_task, access, digits, wanted, sample, device, Path(folder), json_output
        )
    if json_output:
        print_document(document)
    return ExitCode.DONE if is_sound else ExitCode.ERROR


async def _verify_task(
    access: Access,
    digits: str,
    wanted: range | None,
    sample: int,
    device: str | None,
    scratch: Path,
    json_output: bool,
) -> tuple[Document, bool]:
    rows: list[Document] = []
    is_sound = True
    async with client_of(access) as client:
        task_id = await task_of(client, digits)
        task = await client.task(task_id)
        open_rounds = [each for each in task.open_rounds if each < task.round]
        rounds = open_rounds if wanted is None else list(wanted)
        if not rounds:
            raise MissingError(
                "no round has a result that is not settled yet; name settled ones with --rounds"
            )
        async with open_devices(_names(device), say) as workers:
            for round_ in rounds:
                check = await check_round(client, workers, task_id, task, Round(round_), scratch)
                leases = await leases_of(client, task_id, task, Round(round_))
                claimed = [each for each in leases if each.receipt.claim is not None]
                chosen = SystemRandom().sample(claimed, min(sample, len(claimed)))
                judged = [(each, await judge(client, workers, each, task)) for each in chosen]
                rows.append(_round_document(check, judged))
                is_sound &= check.is_equal and all(
                    each.verdict is not Verdict.FAIL for _, each in judged
                )
                if not json_output:
                    print_lines(*_round_text(check, judged))
        document: Document = {
            "schema": "potp2p.verification/1",
            "task": task_id.hex(),
            "rounds": rows,
            "verified": is_sound,
        }
        return document, is_sound
    raise AssertionError("the client's context returns or raises")


def _round_document(check: RoundCheck, judged: Sequence[tuple[Explained, Judgement]]) -> Document:
    return {
        "round": check.round,
        "payloads": check.payloads,
        "agreed": None if check.agreed is None else check.agreed.hex(),
        "computed": check.computed.hex(),
        "equal": check.is_equal,
        "contributions": [judgement_document(found, each) for found, each in judged],
    }


def _round_text(check: RoundCheck, judged: Sequence[tuple[Explained, Judgement]]) -> list[str]:
    if check.agreed is None:
        word = "no quorum agreed on a result, its update was dropped"
    elif check.is_equal:
        word = "the same checkpoint, bit for bit"
    else:
        word = f"ANOTHER CHECKPOINT: the chain says {check.agreed.hex()[:16]}"
    first = f"round {check.round}  {check.payloads} payloads  {check.computed.hex()[:16]}  {word}"
    replays = [
        f"  shard {found.place.shard}  {VERDICTS[each.verdict]}, {_measure(each.decides).strip()}"
        for found, each in judged
    ]
    return [first, *replays]


def read_rounds(text: str) -> range:
    """Read FIRST:END as somebody typed it."""
    parts = text.split(":")
    if len(parts) != 2 or not all(part.isascii() and part.isdigit() for part in parts):  # noqa: PLR2004
        raise ConfigurationError(f"--rounds {text!r} is not FIRST:END")
    first, end = (int(part[:10]) for part in parts)
    if not first < end <= first + ROUNDS_MAX:
        raise ConfigurationError(f"--rounds {text!r}: END is above FIRST, by at most {ROUNDS_MAX}")
    return range(first, end)


def _names(device: str | None) -> tuple[str, ...]:
    return () if device is None else (device,)
