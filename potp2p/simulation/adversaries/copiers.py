"""Miners that hand in what another miner computed."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

import numpy as np
import trio

from potp2p.foundation.errors import PeerError, UnreachableError
from potp2p.foundation.types import BlobId, Height, NodeId
from potp2p.protocol.ledger.records import Claim, RoundPhase
from potp2p.simulation.adversaries.cheat import Cheat, Run, expect
from potp2p.simulation.adversaries.forgery import (
    dice,
    invented,
    layout_of,
    noise_like,
    read_update,
    write_update,
)
from potp2p.simulation.adversaries.kinds import Kind
from potp2p.training.commands import Train
from potp2p.training.compression import d8
from potp2p.training.layout import Layout
from potp2p.training.reports import Trained
from potp2p.training.tensors import Float32

PATIENCE: Final = 2
"""It gives up and works once one half of the round's deadline is over."""
PERTURBATION: Final = 0.02
RESCALED: Final = np.float32(1.01)


@dataclass(slots=True)
class Copier(Cheat):
    """
    Waits for another miner's claim, fetches its payload and hands it in under its own lease.

    Hopes for pay without training. Stopped by order: a payload is served only once its claim
    stands, so a copy always comes later, and equal payloads of different shards stay out of the set
    but for the first claim.
    """

    KIND: ClassVar = Kind.COPIER

    async def train(self, command: Train, run: Run) -> Trained:
        """Copy, or work where nobody has claimed in time."""
        found = await self._wait_for_another(command)
        if found is None:
            return expect(await run(command), Trained)
        miner, claim = found
        layout = layout_of(Path(command.theta), command.rules)
        source = await self._fetch(miner, claim.payload, layout)
        if source is None:
            return expect(await run(command), Trained)
        update_P, buffers_B = read_update(source, layout)
        self.deeds["copied"] += 1
        self.commit(command.lease)
        copied_P = self.disguise(update_P, command)
        write_update(Path(command.payload), command.lease, layout, copied_P, buffers_B)
        return invented(command.rules, claim.loss_before, claim.loss_after)

    def disguise(self, update_P: Float32, command: Train) -> Float32:
        """Return the update as it is handed in: a plain copier changes nothing."""
        del command
        return update_P

    async def _wait_for_another(self, command: Train) -> tuple[NodeId, Claim] | None:
        """Return the first claim of the round by somebody else; None when it gets late."""
        assert self.node is not None
        chain, lease = self.node.chain, command.lease
        while True:
            task = chain.state().find_task(lease.task)
            if task is None or lease.round not in task.open_rounds:
                return None
            record = chain.state().round(lease.task, lease.round)
            if record.phase is not RoundPhase.CLAIMS:
                return None
            late = record.started + command.rules.rounds.deadline // PATIENCE
            if chain.head.height >= late:
                return None
            for row in record.leases:
                claim = chain.state().lease(lease.task, lease.round, row.shard).claim
                if claim is not None and row.miner != self.node.authoring.keys.node_id:
                    return row.miner, claim
            await chain.bell.wait_above(Height(chain.head.height))

    async def _fetch(self, miner: NodeId, payload: BlobId, layout: Layout) -> Path | None:
        assert self.node is not None
        assert self.node.mining is not None, "a miner"
        try:
            return await self.node.mining.blobs.fetch(
                payload, (miner,), bytes_max=d8.file_bytes_max(layout)
            )
        except (PeerError, UnreachableError):
            await trio.lowlevel.checkpoint()
            return None


@dataclass(slots=True)
class PerturbedCopier(Copier):
    """
    A copier that rescales what it copies and adds a little noise.

    Hopes to pass for another payload. Stopped by the screen for near-duplicates, which compares
    angles and so sees through scale and small noise, and by the audit that follows.
    """

    KIND: ClassVar = Kind.PERTURBED_COPIER

    def disguise(self, update_P: Float32, command: Train) -> Float32:
        """Stretch it and shake it."""
        noise_P = noise_like(update_P, PERTURBATION, dice(command.lease, "copier"))
        return (update_P * RESCALED + noise_P).astype(np.float32)
