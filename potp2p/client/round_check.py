"""A round's result computed again: theta(t+1) from its payloads, compared with what was agreed."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from potp2p.client.contributions import Explained, leases_of
from potp2p.client.replay import payload_file
from potp2p.client.session import Client
from potp2p.exchange.packages import PackageFiles
from potp2p.foundation.errors import MissingError
from potp2p.foundation.types import BlobId, Round, TaskId
from potp2p.protocol.ledger.records import LeaseStatus, Task
from potp2p.protocol.wire.manifests import EVALUATION_FILE, MODEL_FILE
from potp2p.training.commands import Aggregate
from potp2p.training.reports import Aggregated
from potp2p.workers.ports import Workers

OUTSIDE: Final = frozenset({LeaseStatus.OPEN, LeaseStatus.CLAIMED, LeaseStatus.MISSED})
"""What never was in a round's set."""


@dataclass(frozen=True, slots=True)
class RoundCheck:
    """One round's checkpoint, as it stands on the chain and as it was computed here."""

    round: Round
    leases: tuple[Explained, ...]
    agreed: BlobId | None
    """None where no quorum agreed on a result: its update was dropped."""
    computed: BlobId
    payloads: int

    @property
    def is_equal(self) -> bool:
        """Tell whether the chain goes on from what was computed here, bit for bit."""
        return self.agreed is None or self.agreed == self.computed


async def check_round(  # noqa: PLR0913  # what is checked, for whom, on what
    client: Client, workers: Workers, task_id: TaskId, task: Task, round_: Round, scratch: Path
) -> RoundCheck:
    """Recompute the checkpoint after a round; MissingError where a payload is gone."""
    if round_ >= task.round:
        raise MissingError(f"round {round_} has no result yet: round {task.round} is in work")
    leases = await leases_of(client, task_id, task, round_)
    inside = [
        (each.receipt, each.receipt.claim)
        for each in leases
        if each.receipt.claim is not None
        and not each.receipt.claim.diverged
        and each.receipt.status not in OUTSIDE
    ]
    if not inside:
        raise MissingError(f"round {round_} had no contribution in its set: theta stayed")
    theta = inside[0][0].theta
    after = await _theta_after(client, task_id, task, round_)
    payloads = [await payload_file(client, receipt, claim, task) for receipt, claim in inside]
    files, hints = PackageFiles(client.blobs), client.validators
    result = scratch / f"{task_id.hex()[:16]}-{round_}.safetensors"
    command = Aggregate(
        task.rules,
        task_id,
        round_,
        str(await files.file(task.package_root, MODEL_FILE, hints)),
        str(await files.theta(task.package_root, theta, hints)),
        tuple(str(path) for path in payloads),
        str(result),
        str(await files.file(task.package_root, EVALUATION_FILE, hints)),
        tuple(claim.height for _, claim in inside),
    )
    report = await workers.execute(command)
    assert isinstance(report, Aggregated)
    computed = await client.store.add_file(result)
    result.unlink()
    agreed = None if after == theta else after
    return RoundCheck(round_, leases, agreed, computed, len(payloads))


async def _theta_after(client: Client, task_id: TaskId, task: Task, round_: Round) -> BlobId:
    """Return the checkpoint that the next round started from, or the newest of all."""
    following = Round(round_ + 1)
    if following >= task.round:
        return task.theta
    leases = await leases_of(client, task_id, task, following, least=1)
    return leases[0].receipt.theta
