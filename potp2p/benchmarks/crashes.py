"""
Kills validators of a working network at random moments, hundreds of times, and looks for the harm.

Real processes over libp2p with transfers coming in. A random validator is killed by SIGKILL,
started again over what its disk holds, and left alone until the others hear a new vote of it; then
the next one dies. Looked for: a start that ends by itself, or gives no vote in time; two different
statements of one validator in one place, over everything that anyone ever heard, with signatures
checked; a block, or a transaction in it, that a validator had told to be stored and that any of
them lacks in the end.
"""

import json
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Final

import trio

from potp2p.benchmarks.consensus_figures import percentile
from potp2p.benchmarks.consensus_network import (
    BenchNetwork,
    Validator,
    bench_key,
    start_network,
)
from potp2p.benchmarks.machine import Machine
from potp2p.foundation.errors import ConfigurationError, OperatingError
from potp2p.foundation.limits import DEVNET_VALIDATORS_MAX
from potp2p.foundation.types import Digest, Height
from potp2p.processes.documents import Document, first_line
from potp2p.processes.fleet import Child, Fleet
from potp2p.processes.programs import Programs
from potp2p.protocol.crypto.hashing import sha256
from potp2p.protocol.ledger.validity import block_hash
from potp2p.protocol.wire.blocks import Block
from potp2p.protocol.wire.schema import decode_own
from potp2p.storage.chain import LmdbChainStore
from potp2p.storage.environment import Environment

KILLS_MAX: Final = 10_000
VALIDATORS_MIN: Final = 4
"""Fewer do not survive the loss of one."""
BLOCK_MILLISECONDS: Final = 100
TRANSACTIONS_MAX: Final = 200
RATE: Final = 50
"""Transfers a second."""
AHEAD_SECONDS: Final = 20
LOAD_SECONDS: Final = 120.0
ALIVE_SECONDS_MAX: Final = 0.8
"""A validator dies this long after the last one came back, at most: about eight heights."""
DEAD_SECONDS_MAX: Final = 0.5
VOTE_SECONDS_MAX: Final = 60.0
"""Without a vote by then, a start counts as failed."""
SETTLE_SECONDS: Final = 60.0
LOOK_SECONDS: Final = 0.02
READ_BYTES: Final = 1 << 22
RESTART_SECONDS_MAX: Final = 3.0


@dataclass(frozen=True, slots=True)
class CrashesPlan:
    """One campaign."""

    kills: int
    validators: int
    seed: int
    folder: Path
    """Where the nodes live; the caller removes it."""
    programs: Programs = field(default_factory=Programs)


def verify_crashes_plan(plan: CrashesPlan) -> None:
    """Raise ConfigurationError for a campaign that cannot be run."""
    if not 1 <= plan.kills <= KILLS_MAX:
        raise ConfigurationError(f"--kills {plan.kills}: from 1 to {KILLS_MAX}")
    if not VALIDATORS_MIN <= plan.validators <= DEVNET_VALIDATORS_MAX:
        raise ConfigurationError(
            f"--validators {plan.validators}: from {VALIDATORS_MIN} to {DEVNET_VALIDATORS_MAX}"
        )


Place = tuple[str, int, int, str]
"""Node, height, view and kind of a statement."""


@dataclass(slots=True)
class Told:
    """Everything that validators noted, read as it is written."""

    said: dict[Place, str] = field(default_factory=dict[Place, str])
    doubles: list[Place] = field(default_factory=list[Place])
    stored: dict[int, str] = field(default_factory=dict[int, str])
    forks: list[int] = field(default_factory=list[int])
    transactions: dict[str, int] = field(default_factory=dict[str, int])
    """Height by id."""
    first_new: dict[str, int] = field(default_factory=dict[str, int])
    """When each node was first heard with something new, since it was last forgotten here."""
    height: int = 0
    _offsets: dict[Path, int] = field(default_factory=dict[Path, int])

    def read(self, network: BenchNetwork) -> None:
        """Take in what was written since the last time."""
        for validator in network.validators:
            for path in validator.outputs[-2:]:
                self._read(path)

    def _read(self, path: Path) -> None:
        offset = self._offsets.get(path, 0)
        with path.open("rb") as file:
            file.seek(offset)
            content = file.read(READ_BYTES)
        # What a kill cut off is never completed, and never counted.
        whole = content[: content.rfind(b"\n") + 1]
        self._offsets[path] = offset + len(whole)
        for line in whole.splitlines():
            self.take(json.loads(line))

    def take(self, note: Document) -> None:
        """Compare a note with all others."""
        if note["stage"] == "stored":
            self._take_block(note)
            return
        height, view = int(str(note["height"])), int(str(note["view"]))
        place = (str(note["node"]), height, view, str(note["kind"]))
        known = self.said.get(place)
        if known is None:
            self.said[place] = str(note["digest"])
            self.first_new.setdefault(place[0], int(str(note["at"])))
        elif known != note["digest"]:
            self.doubles.append(place)

    def _take_block(self, note: Document) -> None:
        height, found = int(str(note["height"])), str(note["hash"])
        self.height = max(self.height, height)
        if self.stored.setdefault(height, found) != found:
            self.forks.append(height)
        identifiers = note["ids"]
        assert isinstance(identifiers, list)
        for identifier in identifiers:
            self.transactions[str(identifier)] = height


@dataclass(slots=True)
class _Campaign:
    plan: CrashesPlan
    network: BenchNetwork
    random: Random
    told: Told = field(default_factory=Told)
    kills: int = 0
    failed_starts: list[str] = field(default_factory=list[str])
    restart_seconds: list[float] = field(default_factory=list[float])
    lost: list[str] = field(default_factory=list[str])


async def measure_crashes(plan: CrashesPlan) -> Document:
    """Return what was found; no process stays."""
    machine = Machine.look()
    started = time.monotonic()
    logs = plan.folder / "logs"
    logs.mkdir(parents=True)
    fleet = Fleet(logs)
    validators = tuple(
        Validator(seat, bench_key(f"validator-{seat}"), plan.folder / f"validator-{seat + 1}")
        for seat in range(plan.validators)
    )
    programs = replace(plan.programs, validator=plan.programs.witness)
    network = BenchNetwork(plan.folder, validators, programs, fleet, TRANSACTIONS_MAX, (0, 0))
    network.block_milliseconds = BLOCK_MILLISECONDS
    random = Random(plan.seed)  # noqa: S311  # repeatable on purpose
    campaign = _Campaign(plan, network, random)
    try:
        await start_network(network)
        load = await _start_load(network)
        while campaign.kills < plan.kills and not campaign.failed_starts:
            await _kill_one(campaign)
        fleet.children.remove(load)
        load.process.kill()
        await load.ended()
        await _settle(campaign)
    finally:
        await fleet.stop()
    campaign.lost = _lost(campaign)
    return _document(campaign, machine, time.monotonic() - started)


async def _start_load(network: BenchNetwork) -> Child:
    document = {
        "chain_id": sha256(network.genesis).hex(),
        "address": network.address,
        "nodes": [each.keys.node_id.hex() for each in network.validators],
        "notes": [str(each.outputs[-1]) for each in network.validators],
        "ahead": RATE * AHEAD_SECONDS,
        "rate": RATE,
        "window": RATE,
    }
    path = network.folder / "load.json"
    path.write_text(json.dumps(document))
    load = network.fleet.start("load", (*network.programs.load, str(path)))
    await first_line(load, LOAD_SECONDS)
    return load


async def _kill_one(campaign: _Campaign) -> None:
    """Kill, start again, and wait for the first word that the others had not heard before."""
    network, told, random = campaign.network, campaign.told, campaign.random
    await trio.sleep(random.uniform(0.0, ALIVE_SECONDS_MAX))
    victim = random.choice(network.running)
    await network.kill(victim)
    campaign.kills += 1
    await trio.sleep(random.uniform(0.0, DEAD_SECONDS_MAX))
    told.read(network)
    node = victim.keys.node_id.hex()
    told.first_new.pop(node, None)
    started = time.monotonic_ns()
    network.start_validator(victim)
    child = victim.child
    assert child is not None
    heard = await _first_word(campaign, node, child)
    if heard is None:
        campaign.failed_starts.append(f"{child.name} gave no vote: {child.last_words()}")
    else:
        campaign.restart_seconds.append((heard - started) / 1e9)


async def _first_word(campaign: _Campaign, node: str, child: Child) -> int | None:
    """Return when a new process was first heard with something new; None when it never was."""
    with trio.move_on_after(VOTE_SECONDS_MAX):
        while child.returncode is None:
            campaign.told.read(campaign.network)
            if node in campaign.told.first_new:
                return campaign.told.first_new[node]
            await trio.sleep(LOOK_SECONDS)
    return None


async def _settle(campaign: _Campaign) -> None:
    """Wait until every validator has what any of them had when the load ended."""
    told, network = campaign.told, campaign.network
    told.read(network)
    goal = told.height
    with trio.move_on_after(SETTLE_SECONDS):
        while min(map(_stored_height, network.running)) < goal:  # noqa: ASYNC110  # processes
            await trio.sleep(LOOK_SECONDS)
    told.read(network)


def _stored_height(validator: Validator) -> int:
    with validator.outputs[-1].open("rb") as file:
        content = file.read()
    heights = (json.loads(line) for line in content.splitlines() if line.endswith(b"}"))
    return max((each["height"] for each in heights if each["stage"] == "stored"), default=0)


def _lost(campaign: _Campaign) -> list[str]:
    """Look on every disk for everything that anyone told to be stored."""
    lost: list[str] = []
    for validator in campaign.network.validators:
        with Environment.open(validator.folder / "chain.lmdb") as environment:
            store = LmdbChainStore(environment)
            head = store.head()
            if head is None:
                raise OperatingError(f"{validator.name} has no chain")
            for height, expected in campaign.told.stored.items():
                found = store.block(Height(height))
                if found is None or _hash_of(found[0]) != expected:
                    lost.append(f"{validator.name} lacks block {height}")
            for identifier, height in campaign.told.transactions.items():
                if store.height_of(Digest(bytes.fromhex(identifier))) != height:
                    lost.append(f"{validator.name} lacks transaction {identifier}")
    return lost


def _hash_of(encoded: bytes) -> str:
    return block_hash(decode_own(Block, encoded).header).hex()


def _document(campaign: _Campaign, machine: Machine, seconds: float) -> Document:
    told, restarts = campaign.told, campaign.restart_seconds
    p50, p99 = percentile(restarts, 0.5), percentile(restarts, 0.99)
    harm = (campaign.failed_starts, told.doubles, told.forks, campaign.lost)
    document: Document = {
        "schema": "potp2p.bench-crashes/1",
        "machine": machine.document(),
        "validators": campaign.plan.validators,
        "seed": campaign.plan.seed,
        "block_interval_milliseconds": BLOCK_MILLISECONDS,
        "rate": RATE,
        "seconds": round(seconds, 1),
        "kills": campaign.kills,
        "heights": told.height,
        "statements_heard": len(told.said),
        "transactions_checked": len(told.transactions),
        "corrupt_opens": len(campaign.failed_starts),
        "double_signatures": len(told.doubles),
        "forks": len(told.forks),
        "lost": len(campaign.lost),
        "restart_to_voting_p50_seconds": None if p50 is None else round(p50, 3),
        "restart_to_voting_p99_seconds": None if p99 is None else round(p99, 3),
        "restart_to_voting_max_seconds": round(max(restarts), 3) if restarts else None,
        "restart_to_voting_target_seconds": RESTART_SECONDS_MAX,
        "first_harm": next((str(each[0]) for each in harm if each), None),
        "is_within_targets": not any(harm) and p50 is not None and p50 <= RESTART_SECONDS_MAX,
    }
    return document


def crashes_lines(document: Document) -> list[str]:
    """Return the findings for a person."""
    return [
        f"{name:<30} {document[name]}"
        for name in (
            "kills",
            "heights",
            "statements_heard",
            "transactions_checked",
            "corrupt_opens",
            "double_signatures",
            "forks",
            "lost",
            "restart_to_voting_p50_seconds",
            "restart_to_voting_p99_seconds",
            "restart_to_voting_max_seconds",
            "first_harm",
        )
    ]
