"""
Pre-signed transfers for validators under measurement, handed over as a client does, many at once.

`python -m potp2p.benchmarks.consensus_load PLAN`, a JSON file: genesis and bootstrap address, seats
to hand to, files in which validators note their blocks, transactions to sign ahead, and either a
rate or a window. With a window no more than that many wait for a block at any time; with a rate
they are handed over by the clock, whether or not any is decided. Samples go to standard output.
"""

import json
import os
import sys
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import trio

from potp2p.benchmarks.consensus_network import PAYERS, bench_key, payer
from potp2p.foundation.errors import UnreachableError
from potp2p.foundation.types import Amount, ChainId, NodeId
from potp2p.network.adapter import Network, NetworkConfiguration
from potp2p.network.ports import StreamProtocol
from potp2p.protocol.crypto.identity import KeyPair
from potp2p.protocol.ledger.transition import (
    decode_transaction,
    sign_paid_transaction,
    transaction_id,
)
from potp2p.protocol.wire.schema import decode, encode
from potp2p.protocol.wire.submission import Submission, SubmissionReceipt
from potp2p.protocol.wire.transactions import Transfer

FEE: Final = Amount(1)
BATCH: Final = 64
PAUSE_SECONDS: Final = 0.02
RATE_PAUSE_SECONDS: Final = 0.05
REQUEST_SECONDS: Final = 10.0
REACH_SECONDS: Final = 60.0
SAMPLED: Final = 16
"""One in so many is looked up on the chain afterwards."""
READ_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """What to hand to whom."""

    chain_id: str
    address: str
    nodes: tuple[str, ...]
    """Node ids in hex, in the order of `notes`."""
    notes: tuple[str, ...]
    ahead: int
    rate: int
    """Transactions a second; 0: as many as the window takes."""
    window: int


@dataclass(slots=True)
class Decided:
    """Transactions that validators noted as stored, by reading what they append."""

    paths: tuple[Path, ...]
    _offsets: list[int] = field(default_factory=list[int])
    _counts: list[int] = field(default_factory=list[int])
    _rests: list[bytes] = field(default_factory=list[bytes])

    def look(self) -> int:
        """Return how many the furthest validator has stored."""
        if not self._offsets:
            self._offsets, self._counts = [0] * len(self.paths), [0] * len(self.paths)
            self._rests = [b""] * len(self.paths)
        for index, path in enumerate(self.paths):
            with path.open("rb") as file:
                file.seek(self._offsets[index])
                read = file.read(READ_BYTES)
            self._offsets[index] += len(read)
            *lines, self._rests[index] = (self._rests[index] + read).split(b"\n")
            self._counts[index] += sum(
                int(json.loads(line).get("transactions", 0)) for line in lines if b"stored" in line
            )
        return max(self._counts)


@dataclass(slots=True)
class Lane:
    """Transactions for one validator: those of an account go one way, so nonces stay in order."""

    node: NodeId
    signed: Iterator[bytes]
    ready: deque[bytes]
    again: deque[bytes] = field(default_factory=deque[bytes])

    def take(self, count: int) -> tuple[bytes, ...]:
        """Return the next transactions, refused ones first."""
        return tuple(
            self.again.popleft()
            if self.again
            else self.ready.popleft()
            if self.ready
            else next(self.signed)
            for _ in range(count)
        )


@dataclass(slots=True)
class Load:
    """Hands transactions over and notes samples."""

    plan: LoadPlan
    network: Network
    lanes: tuple[Lane, ...]
    handed: int = 0
    """Taken by a validator, or on their way to one."""
    decided: int = 0
    refused: int = 0
    started: float = 0.0

    async def run(self) -> None:
        """Hand over until the process is ended."""
        decided = Decided(tuple(map(Path, self.plan.notes)))
        self.decided = decided.look()
        self.handed = self.decided
        self.started = trio.current_time()
        async with trio.open_nursery() as nursery:
            for lane in self.lanes:
                nursery.start_soon(self._feed, lane)
            while True:
                await trio.sleep(PAUSE_SECONDS)
                self.decided = decided.look()

    def _room(self) -> int:
        if self.plan.rate:
            due = int((trio.current_time() - self.started) * self.plan.rate)
            return due - self.handed
        return self.plan.window - (self.handed - self.decided)

    async def _feed(self, lane: Lane) -> None:
        while True:
            room = min(self._room(), BATCH)
            if room <= 0 or (room < BATCH // 4 and not self.plan.rate):
                await trio.sleep(PAUSE_SECONDS / 2)
                continue
            self.handed += room
            await self._hand(lane, lane.take(room))
            if self.plan.rate:
                # A request for each transaction would measure the requests.
                await trio.sleep(RATE_PAUSE_SECONDS)

    async def _hand(self, lane: Lane, batch: tuple[bytes, ...]) -> None:
        at = time.monotonic_ns()
        try:
            answer = await self.network.streams.request(
                lane.node,
                StreamProtocol.SUBMIT_MANY,
                encode(Submission(batch)),
                deadline_seconds=REQUEST_SECONDS,
            )
        except UnreachableError:
            lane.again.extend(batch)
            self.handed -= len(batch)
            return
        refused = decode(SubmissionReceipt, answer).refused
        for each in refused:
            lane.again.append(batch[each.index])
        self.handed -= len(refused)
        self.refused += len(refused)
        if refused:
            # A full pool, or nonces that wait for others: blocks will make room.
            await trio.sleep(PAUSE_SECONDS)
        self._sample(batch, at, {each.index for each in refused})

    def _sample(self, batch: tuple[bytes, ...], at: int, refused: set[int]) -> None:
        ids = [
            transaction_id(decode_transaction(encoded).body).hex()
            for index, encoded in enumerate(batch)
            if index % SAMPLED == 0 and index not in refused
        ]
        line: dict[str, object] = {
            "at": at,
            "ids": ids,
            "taken": len(batch) - len(refused),
            "refused": len(refused),
        }
        _say(line)


def _say(line: dict[str, object]) -> None:
    os.write(sys.stdout.fileno(), (json.dumps(line) + "\n").encode())


def transfers(chain_id: ChainId, lane: int, lanes: int) -> Iterator[bytes]:
    """Yield the transfers of the accounts that belong to one lane, nonce after nonce."""
    payers = [payer(index) for index in range(lane, PAYERS, lanes)]
    nonce = 0
    while True:
        for index, keys in enumerate(payers):
            recipient = payers[(index + 7 * (nonce + 1)) % len(payers)].account
            yield sign_paid_transaction(keys, chain_id, nonce, FEE, Transfer(recipient, Amount(1)))
        nonce += 1


async def hand_over(plan: LoadPlan) -> None:
    """Sign ahead, reach every validator, say so, and hand over."""
    chain_id = ChainId(bytes.fromhex(plan.chain_id))  # type: ignore[arg-type]
    lanes: list[Lane] = []
    for index, node in enumerate(plan.nodes):
        signed = transfers(chain_id, index, len(plan.nodes))
        share = plan.ahead // len(plan.nodes)
        ready = deque(next(signed) for _ in range(share))
        lanes.append(Lane(NodeId(bytes.fromhex(node)), signed, ready))
    keys: KeyPair = bench_key("client")
    configuration = NetworkConfiguration(keys.secret, chain_id, (), (plan.address,))
    network = Network(configuration)
    async with trio.open_nursery() as nursery:
        await nursery.start(network.run)
        with trio.fail_after(REACH_SECONDS):
            for lane in lanes:
                while True:
                    try:
                        await network.directory.reach(lane.node)
                        break
                    except UnreachableError:
                        await trio.sleep(PAUSE_SECONDS)
        _say({"ready": len(lanes)})
        await Load(plan, network, tuple(lanes)).run()


def read_plan(path: Path) -> LoadPlan:
    """Read what the benchmark wrote."""
    document = json.loads(path.read_text())
    return LoadPlan(
        chain_id=document["chain_id"],
        address=document["address"],
        nodes=tuple(document["nodes"]),
        notes=tuple(document["notes"]),
        ahead=document["ahead"],
        rate=document["rate"],
        window=document["window"],
    )


if __name__ == "__main__":
    trio.run(hand_over, read_plan(Path(sys.argv[1])))
