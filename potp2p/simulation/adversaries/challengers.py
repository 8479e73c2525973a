"""Whoever disputes what is right."""

from dataclasses import dataclass, field
from typing import ClassVar

from potp2p.foundation.types import Height, Round, ShardIndex, TaskId
from potp2p.node.composition import Node
from potp2p.protocol.ledger.audit_records import AuditPhase
from potp2p.protocol.ledger.records import LeaseStatus
from potp2p.protocol.ledger.state import State
from potp2p.protocol.verification.verdict import Verdict
from potp2p.protocol.wire.transactions import Challenge
from potp2p.simulation.adversaries.cheat import Cheat
from potp2p.simulation.adversaries.kinds import Kind

Place = tuple[TaskId, Round, ShardIndex]


@dataclass(slots=True)
class SpamChallenger(Cheat):
    """
    Challenges every ruling in favour of a rival, with nothing to show for it.

    Hopes to drown the judges in replays, to delay rivals' pay, or to have one convicted by luck.
    Stopped by its stake: each lost challenge pays all judges, and a free bond allows only so many.
    """

    KIND: ClassVar = Kind.SPAM_CHALLENGER
    _disputed: set[Place] = field(default_factory=set[Place])

    async def scheme(self) -> None:
        """Challenge whatever may be challenged, after every block."""
        assert self.node is not None
        node, height = self.node, Height(-1)
        while True:
            height = await node.chain.bell.wait_above(height)
            for place in _standing(node.chain.state(), node):
                if place not in self._disputed:
                    self._disputed.add(place)
                    self.deeds["challenged"] += 1
                    node.outbox.say(Challenge(*place, expects_fail=True))


def _standing(state: State, node: Node) -> list[Place]:
    """Return the rivals' contributions that stand as passed and may still be disputed."""
    found: list[Place] = []
    for task in (*state.chain().tasks, *state.chain().unsettled):
        for round_ in state.task(task).open_rounds:
            for row in state.round(task, round_).leases:
                place = (task, round_, row.shard)
                lease, audit = state.lease(*place), state.find_audit(*place)
                rival = row.miner != node.authoring.keys.node_id
                if audit is None:
                    stands = lease.status is LeaseStatus.PASSED
                else:
                    in_window = audit.phase is AuditPhase.WINDOW
                    stands = in_window and audit.provisional is Verdict.PASS
                if rival and stands:
                    found.append(place)
    return found
