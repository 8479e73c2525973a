"""
One validator that may be killed at any moment, and that notes what the others say.

`python -m potp2p.benchmarks.crash_node DATADIR TRANSACTIONS_MAX`: the real node, as under `bench
consensus`, with two notes, one JSON object a line and written at once. `stored`: a block that is
durable here, with some of its transactions; from now on this validator answers for them. `said`: a
statement of another validator whose signature verifies, the first time that it is heard.
"""

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import trio
from trio_typing import TaskStatus

from potp2p.api.status_socket import serve_status
from potp2p.benchmarks.consensus_node import NoWorkers
from potp2p.foundation.errors import PeerError
from potp2p.foundation.types import Epoch, NodeId
from potp2p.foundation.version import VERSION
from potp2p.network.ports import Heard
from potp2p.node.composition import Node
from potp2p.node.launch import launch_of
from potp2p.node.lifecycle import run_node
from potp2p.observability.status import NodeStatus
from potp2p.protocol.crypto.hashing import sha256
from potp2p.protocol.crypto.signing import verify_signature
from potp2p.protocol.ledger.transition import decode_transaction, transaction_id
from potp2p.protocol.wire.blocks import Block, Seal
from potp2p.protocol.wire.consensus import (
    Proposal,
    ProvenViewChange,
    SignedCommit,
    SignedPrepare,
    decode_frame,
    signed_parts,
)
from potp2p.protocol.wire.schema import encode
from potp2p.services.chain import ChainService
from potp2p.services.consensus_stages import Stage
from potp2p.settings.configuration import load_configuration

IDS_NOTED: Final = 8
"""Transactions of a block that are looked for afterwards."""
STATEMENTS_KEPT: Final = 100_000
"""Remembered as noted: hours; forgetting one writes it twice."""


@dataclass(slots=True)
class Witness:
    """Writes down what is durable here and what others were heard to say."""

    descriptor: int
    chain: ChainService
    _seats: dict[Epoch, tuple[NodeId, ...]] = field(default_factory=dict[Epoch, tuple[NodeId, ...]])
    _noted: dict[bytes, None] = field(default_factory=dict[bytes, None])

    def observe(self, stage: Stage, block: Block, seal: Seal | None) -> None:
        """Note a block that is durable."""
        if stage is not Stage.STORED or seal is None:
            return
        self._write(
            {
                "stage": "stored",
                "at": time.monotonic_ns(),
                "height": block.header.body.height,
                "hash": seal.block_hash.hex(),
                "transactions": len(block.transactions),
                "ids": [
                    transaction_id(decode_transaction(each).body).hex()
                    for each in block.transactions[:IDS_NOTED]
                ],
            }
        )

    def overhear(self, heard: Heard) -> None:
        """Note each new statement in a frame; what does not verify nobody said."""
        prospects = self.chain.prospects
        self._seats[prospects.epoch] = prospects.nodes
        try:
            frame = decode_frame(heard.body)
        except PeerError:
            return
        if isinstance(frame, SignedPrepare | SignedCommit | ProvenViewChange | Proposal):
            for statement, signature in signed_parts(frame):
                encoded = encode(statement)
                digest = sha256(statement.DOMAIN.encode() + encoded)
                seats = self._seats.get(statement.epoch, ())
                if digest in self._noted or statement.signer >= len(seats):
                    continue
                node = seats[statement.signer]
                try:
                    verify_signature(
                        node, signature, statement.DOMAIN, self.chain.chain_id, encoded
                    )
                except PeerError:
                    continue
                self._remember(digest)
                self._write(
                    {
                        "stage": "said",
                        "at": time.monotonic_ns(),
                        "node": node.hex(),
                        "height": statement.height,
                        "view": statement.view,
                        "kind": type(statement).__name__,
                        "digest": digest.hex(),
                    }
                )

    def _remember(self, digest: bytes) -> None:
        self._noted[digest] = None
        if len(self._noted) > STATEMENTS_KEPT:
            del self._noted[next(iter(self._noted))]

    def _write(self, note: dict[str, object]) -> None:
        os.write(self.descriptor, (json.dumps(note) + "\n").encode())


async def run_witness(folder: Path, transactions_max: int) -> None:
    """Run until a signal ends it."""
    configuration = load_configuration(folder / "config.toml", environment={}, flags={})
    launch = launch_of(configuration, folder, VERSION)

    async def answer(snapshot: Callable[[], NodeStatus]) -> None:
        await serve_status(folder / "status.sock", snapshot)

    async def run(*, task_status: TaskStatus[Node] = trio.TASK_STATUS_IGNORED) -> None:
        await run_node(launch, (answer,), workers=NoWorkers(), task_status=task_status)

    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:
            node = await nursery.start(run)
            assert node.consensus is not None, "its configuration makes it a validator"
            witness = Witness(sys.stdout.fileno(), node.chain)
            node.consensus.observe = witness.observe
            node.consensus.overhear = witness.overhear
            node.authoring.transactions_max = transactions_max
            async for _ in signals:
                break
            nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(run_witness, Path(sys.argv[1]), int(sys.argv[2]))
