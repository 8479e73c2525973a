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
FETCH_SECONDS: Final = 2.0
"""For one payload, which its miner may keep back as well; then it tries another's."""
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
        """Copy the first claim that is served, or work where there is none in time."""
        layout = layout_of(Path(command.theta), command.rules)
        found = await self._find_served(command, layout)
        if found is None:
            return expect(await run(command), Trained)
        source, claim = found
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

    async def _find_served(self, command: Train, layout: Layout) -> tuple[Path, Claim] | None:
        """Return the first payload that can be had, with its claim."""
        tried: set[NodeId] = set()
        while (found := await self._wait_for_another(command, tried)) is not None:
            miner, claim = found
            tried.add(miner)
            source = await self._fetch(miner, claim.payload, layout)
            if source is not None:
                return source, claim
        return None

    async def _wait_for_another(
        self, command: Train, tried: set[NodeId]
    ) -> tuple[NodeId, Claim] | None:
        """Return a claim of the round by somebody not tried yet; None when it gets late."""
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
                own = row.miner == self.node.authoring.keys.node_id
                if claim is not None and not own and row.miner not in tried:
                    return row.miner, claim
            await chain.bell.wait_above(Height(chain.head.height))

    async def _fetch(self, miner: NodeId, payload: BlobId, layout: Layout) -> Path | None:
        assert self.node is not None
        assert self.node.mining is not None, "a miner"
        with trio.move_on_after(FETCH_SECONDS):
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
