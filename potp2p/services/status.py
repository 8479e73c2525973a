"""Gathers the frozen NodeStatus from what the other services say about themselves."""

from collections.abc import Callable
from dataclasses import dataclass, field

from potp2p.foundation.limits import STATUS_ROOTS_KEPT
from potp2p.foundation.types import AccountId, Height, NodeId
from potp2p.network.ports import NetworkFacts
from potp2p.observability.status import (
    ChainStatus,
    ConsensusStatus,
    DeviceStatus,
    Identity,
    LoopStatus,
    MinerStatus,
    NodeStatus,
    PeerToPeerStatus,
    Reason,
    RootLine,
    StateCode,
    TaskLine,
)
from potp2p.protocol.crypto.identity import KeyPair
from potp2p.protocol.ledger.records import LeaseStatus, Task
from potp2p.protocol.wire.blocks import RANK_NONE, Block
from potp2p.protocol.wire.schema import decode
from potp2p.services.chain import ChainService
from potp2p.services.logbook import LogBook
from potp2p.services.mempool import Mempool
from potp2p.services.mining import MiningService
from potp2p.services.outcomes import OwnOutcomes
from potp2p.services.sync import SyncService
from potp2p.workers.ports import WorkerFacts

SYNCED_GAP = 2
"""A node this many blocks behind the highest claim is still in step."""


@dataclass(slots=True)
class StatusService:
    """Owns nothing but the moment at which the state last changed."""

    identity: Identity
    keys: KeyPair
    payout: AccountId
    chain: ChainService
    mempool: Mempool
    sync: SyncService
    logbook: LogBook
    now: Callable[[], float]
    network_facts: Callable[[], NetworkFacts]
    worker_facts: Callable[[], tuple[WorkerFacts, ...]]
    consensus_status: Callable[[], ConsensusStatus | None] | None
    mining: MiningService | None
    bootstrap: tuple[NodeId, ...]
    """Nodes that are always dialled."""
    connected: Callable[[], tuple[NodeId, ...]]
    loop: Callable[[], LoopStatus | None] = lambda: None
    """Told by whoever runs the loop; nobody does under a virtual clock."""
    _own: OwnOutcomes = field(init=False)
    _state: StateCode = StateCode.STARTING
    _since: float = 0.0
    _block_time: float | None = None
    _block_height: int = -1
    _accepted: int | None = None
    _accepted_at: float | None = None
    _roots: dict[int, str] = field(default_factory=dict[int, str])

    def __post_init__(self) -> None:
        self._own = OwnOutcomes(self.keys.node_id, self.chain)

    def snapshot(self) -> NodeStatus:
        """Return everything a face may show, as of now."""
        chain = self._chain()
        miner = self._miner()
        network = self._network()
        code, reasons = self._judge(chain, network, miner)
        if code is not self._state or self._since == 0.0:
            self._state, self._since = code, self.now()
        state = self.chain.state()
        account = state.account(self.payout)
        return NodeStatus(
            time=self.now(),
            identity=self.identity,
            state=code,
            since=self._since,
            reasons=reasons,
            network=network,
            chain=chain,
            consensus=None if self.consensus_status is None else self.consensus_status(),
            miner=miner,
            devices=tuple(_device(facts) for facts in self.worker_facts()),
            tasks=self._tasks(),
            balance=account.balance,
            log=self.logbook.lines(),
            advice=_advice(code, reasons),
            loop=self.loop(),
            auditing=self._own.asked(),
        )

    def _chain(self) -> ChainStatus:
        head = self.chain.head
        if head.height != self._block_height:
            self._block_height, self._block_time = head.height, self.now()
        target = self.sync.target_height
        record = self.chain.state().chain()
        header = head.header
        ranked = header is not None and header.body.rank != RANK_NONE
        return ChainStatus(
            height=head.height,
            target_height=target,
            synced=target is not None and head.height + SYNCED_GAP >= target,
            epoch=record.epoch,
            cycle=record.cycle,
            state_root=head.state_root.hex(),
            block_time=self._block_time if head.height else None,
            last_rank=header.body.rank if header is not None and ranked else None,
            last_view=None if head.seal is None else head.seal.view,
            last_signers=None if head.seal is None else len(head.seal.signatures),
            validators=len(record.seats),
            pending_transactions=len(self.mempool),
            supply=record.supply,
            burned=record.burned,
            recent_roots=self._recent_roots(),
        )

    def _recent_roots(self) -> tuple[RootLine, ...]:
        """Return the roots of the latest headers; each block is read from the store once."""
        top = self.chain.head.height
        wanted = range(max(1, top + 1 - STATUS_ROOTS_KEPT), top + 1)
        for height in wanted:
            if height not in self._roots:
                stored = self.chain.store.block(Height(height))
                if stored is not None:
                    self._roots[height] = decode(Block, stored[0]).header.body.state_root.hex()
        for height in sorted(self._roots)[:-STATUS_ROOTS_KEPT]:
            del self._roots[height]
        return tuple(RootLine(height, root) for height, root in sorted(self._roots.items()))

    def _network(self) -> PeerToPeerStatus:
        facts = self.network_facts()
        return PeerToPeerStatus(
            peers=facts.peers,
            inbound=facts.inbound,
            listen=facts.listen,
            bytes_in=facts.bytes_in,
            bytes_out=facts.bytes_out,
            lost_messages=facts.lost_messages,
            banned=facts.banned,
            bootstrap_connected=len(set(self.bootstrap) & set(self.connected())),
            bootstrap_configured=len(self.bootstrap),
        )

    def _miner(self) -> MinerStatus | None:
        if self.mining is None:
            return None
        state = self.chain.state()
        record = state.miner(self.keys.account)
        bond = state.account(self.keys.account).bond
        lines = self.mining.lines()
        wanted = self.chain.ledger.genesis.money.miner_bond
        if record is None:
            return MinerStatus(
                registered=False,
                live=False,
                bond=bond,
                accepted=0,
                rejected=0,
                missed=0,
                in_audit=0,
                earned=0,
                last_accepted_at=None,
                leases=lines,
                bond_wanted=wanted,
                outcomes=self._own.settled(),
            )
        return MinerStatus(
            registered=True,
            live=record.live,
            bond=bond,
            accepted=record.accepted,
            rejected=record.rejected,
            missed=record.missed,
            in_audit=self._in_audit(),
            earned=record.earned,
            last_accepted_at=self._last_accepted(record.accepted),
            leases=lines,
            bond_wanted=wanted,
            suspended=record.suspended > 0,
            banned_until=(
                record.banned_until if record.banned_until > self.chain.head.height else None
            ),
            outcomes=self._own.settled(),
            under_audit=self._own.under_audit(),
        )

    def _last_accepted(self, accepted: int) -> float | None:
        """Return when this node first saw the present count; None for what came before it."""
        if self._accepted is not None and accepted > self._accepted:
            self._accepted_at = self.now()
        self._accepted = accepted
        return self._accepted_at

    def _in_audit(self) -> int:
        """Count own contributions whose pay still waits for audits."""
        state = self.chain.state()
        waiting = {LeaseStatus.ACCEPTED, LeaseStatus.AUDITED, LeaseStatus.CLAIMED}
        count = 0
        for task_id in (*state.chain().tasks, *state.chain().unsettled):
            for round_ in state.task(task_id).open_rounds:
                for row in state.round(task_id, round_).leases:
                    if row.miner == self.keys.node_id:
                        # Settled leases of a round go before the round itself does.
                        lease = state.find_lease(task_id, round_, row.shard)
                        count += lease is not None and lease.status in waiting
        return count

    def _tasks(self) -> tuple[TaskLine, ...]:
        state = self.chain.state()
        known = (*state.chain().tasks, *state.chain().unsettled)
        return tuple(_task_line(each, state.task(each)) for each in known)

    def _judge(
        self, chain: ChainStatus, network: PeerToPeerStatus, miner: MinerStatus | None
    ) -> tuple[StateCode, tuple[Reason, ...]]:
        """Say in one word what the node does, and why it is not simply at work."""
        if network.peers == 0:
            return StateCode.STARTING, (Reason("no_peers", "no peer is connected"),)
        if not chain.synced and chain.target_height is not None:
            gap = f"{chain.height} of {chain.target_height}"
            return StateCode.SYNCING, (Reason("not_synced", gap),)
        if self.consensus_status is not None:
            replica = self.consensus_status()
            if replica is None or replica.seat is None:
                return StateCode.FOLLOWING, (Reason("no_seat", "a validator without a seat"),)
            return StateCode.VALIDATING, (Reason("validator", "holds a seat"),)
        if miner is None:
            return StateCode.FOLLOWING, (Reason("observer", "follows the chain"),)
        if miner.leases:
            return StateCode.MINING, ()
        return StateCode.IDLE, (self._idle_reason(miner),)

    def _idle_reason(self, miner: MinerStatus) -> Reason:
        if not miner.registered:
            return Reason("registering", "the registration is on its way")
        if miner.banned_until is not None:
            return Reason(
                "banned", f"until height {miner.banned_until}, since {_last_fault(miner)}"
            )
        if miner.suspended:
            return Reason("suspended", "a ruling against a contribution is open to a challenge")
        if not self.chain.state().chain().tasks:
            return Reason("network_has_no_tasks", "no training is on order")
        if not miner.live:
            return Reason("not_live", "a lease was missed; ready is said again each cycle")
        if miner.bond < miner.bond_wanted:
            # Newcomers get one shard each, and few of a round's while bonded miners want the rest.
            return Reason("newcomer", "few shards go to miners without a whole bond; pay fills it")
        return Reason("no_lease", "this round's shards are with other miners")


def _last_fault(miner: MinerStatus) -> str:
    """Return what an audit found of a miner last, as far as it is remembered."""
    for each in (*reversed(miner.under_audit), *reversed(miner.outcomes)):
        if each.outcome == "slashed":
            # What it cost stands before it; the ban is of that price.
            _, _, found = each.reason.partition(": ")
            return f"an audit failed: {found}"
    return "an audit failed"


def _device(facts: WorkerFacts) -> DeviceStatus:
    return DeviceStatus(
        device=facts.device,
        name=facts.name,
        memory_bytes=facts.memory_bytes,
        pid=facts.pid,
        state=facts.state,
        busy=facts.busy,
        step=facts.step,
        steps=facts.steps,
        steps_per_second=facts.steps_per_second,
        restarts=facts.restarts,
    )


def _task_line(task_id: bytes, task: Task) -> TaskLine:
    return TaskLine(
        task=task_id.hex(),
        status=task.status.name.lower(),
        architecture=task.rules.model.architecture,
        mode=task.rules.mode.name.lower(),
        round=task.round,
        rounds=task.rules.rounds.rounds,
        loss=task.losses[-1] / 1e6 if task.losses else None,
        budget=task.budget,
        escrow=task.escrow,
    )


def _advice(code: StateCode, reasons: tuple[Reason, ...]) -> str | None:
    if code is StateCode.STARTING and reasons:
        return "no peer yet: check the bootstrap address and your network"
    return None
