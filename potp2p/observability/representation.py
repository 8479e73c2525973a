"""
The status as a JSON document: schema `potp2p.status/1`, which only grows.

Unknown is null, never zero; amounts are decimal strings in POT; times are ISO 8601 in UTC.
"""

import json
import math
from datetime import UTC, datetime
from typing import Final, cast

from potp2p.foundation.amounts import CURRENCY, format_amount
from potp2p.foundation.errors import OperatingError
from potp2p.observability.status import (
    ChainStatus,
    ConsensusStatus,
    DeviceStatus,
    LeaseStatusLine,
    LoopStatus,
    MinerStatus,
    NodeStatus,
    OutcomeLine,
    PeerToPeerStatus,
    StateCode,
    TaskLine,
)

SCHEMA: Final = "potp2p.status/1"

Document = dict[str, object]


def encode_status(status: NodeStatus) -> bytes:
    """Return the document as UTF-8 JSON with a closing newline."""
    return json.dumps(status_document(status), separators=(",", ":")).encode() + b"\n"


def status_document(status: NodeStatus) -> Document:
    """Return the whole status as plain JSON values."""
    return {
        "schema": SCHEMA,
        "time": timestamp(status.time),
        "node": _node(status),
        "state": {
            "code": str(status.state),
            "since": timestamp(status.since),
            "blocked_by": [
                {"code": reason.code, "detail": reason.detail} for reason in status.reasons
            ],
            "message": status.advice,
        },
        "sync": _sync(status),
        "chain": _chain(status.chain),
        "p2p": _peer_to_peer(status.network),
        "validator": None if status.consensus is None else _consensus(status.consensus),
        "miner": None if status.miner is None else _miner(status.miner),
        "devices": [_device(device) for device in status.devices],
        "tasks": [_task(task) for task in status.tasks],
        "wallet": {"balance": format_amount(status.balance), "currency": CURRENCY},
        "alerts": _alerts(status),
        "loop": None if status.loop is None else _loop(status.loop),
        "auditing": status.auditing,
    }


def decode_document(encoded: bytes) -> Document:
    """Parse what a node answered; OperatingError when it is not a status document."""
    try:
        document: object = json.loads(encoded)
    except (ValueError, RecursionError) as error:
        raise OperatingError("the node answered something that is not JSON") from error
    if not isinstance(document, dict):
        raise OperatingError("the node answered something that is not a status")
    fields = cast("Document", document)
    if fields.get("schema") != SCHEMA:
        raise OperatingError(f"the node answered schema {fields.get('schema')!r}, not {SCHEMA!r}")
    return fields


def timestamp(seconds: float | None) -> str | None:
    """Return a time as ISO 8601 in UTC with milliseconds."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def _loop(loop: LoopStatus) -> Document:
    return {
        "hold_p50_ms": round(loop.hold_p50 * 1_000, 2),
        "hold_p99_ms": round(loop.hold_p99 * 1_000, 2),
        "hold_max_ms": round(loop.hold_max * 1_000, 2),
    }


def _node(status: NodeStatus) -> Document:
    identity = status.identity
    return {
        "name": identity.name,
        "version": identity.version,
        "pid": identity.pid,
        "roles": [identity.role],
        "network": identity.network,
        "chain_id": identity.chain_id,
        "peer_id": identity.node_id,
        "address": identity.address,
        "payout": identity.payout,
        "uptime_s": round(max(0.0, status.time - identity.started_at), 1),
        "started_at": timestamp(identity.started_at),
        "datadir": identity.data_folder,
    }


def _sync(status: NodeStatus) -> Document:
    chain = status.chain
    age = None if chain.block_time is None else round(max(0.0, status.time - chain.block_time), 1)
    return {
        "height": chain.height,
        "target_height": chain.target_height,
        "synced": chain.synced,
        "last_block_age_s": age,
    }


def _chain(chain: ChainStatus) -> Document:
    return {
        "epoch": chain.epoch,
        "cycle": chain.cycle,
        "state_root": chain.state_root,
        "recent_roots": {str(line.height): line.state_root for line in chain.recent_roots},
        "last_rank": chain.last_rank,
        "last_view": chain.last_view,
        "last_signers": chain.last_signers,
        "validators": chain.validators,
        "pending_transactions": chain.pending_transactions,
        "supply": format_amount(chain.supply),
        "burned": format_amount(chain.burned),
    }


def _peer_to_peer(network: PeerToPeerStatus) -> Document:
    return {
        "peers": network.peers,
        "inbound": network.inbound,
        "outbound": network.peers - network.inbound,
        "reachability": None,
        "listen": list(network.listen),
        "bootstrap": {
            "configured": network.bootstrap_configured,
            "reachable": network.bootstrap_connected,
        },
        "rx_bytes": network.bytes_in,
        "tx_bytes": network.bytes_out,
        "lost_messages": network.lost_messages,
        "banned": network.banned,
    }


def _consensus(consensus: ConsensusStatus) -> Document:
    return {
        "height": consensus.height,
        "view": consensus.view,
        "phase": consensus.phase,
        "seat": consensus.seat,
        "prepares": consensus.prepares,
        "commits": consensus.commits,
        "quorum": consensus.quorum,
        "view_changes": consensus.view_changes,
        "missing": list(consensus.missing),
    }


def _miner(miner: MinerStatus) -> Document:
    return {
        "registered": miner.registered,
        "live": miner.live,
        "bond": format_amount(miner.bond),
        "units": {
            "accepted": miner.accepted,
            "rejected": miner.rejected,
            "missed": miner.missed,
            "in_check": miner.in_audit,
            "last_accepted_at": timestamp(miner.last_accepted_at),
        },
        "earned": {"total": format_amount(miner.earned), "currency": CURRENCY},
        "current": [_lease(lease) for lease in miner.leases],
        "bond_wanted": format_amount(miner.bond_wanted),
        "suspended": miner.suspended,
        "banned_until": miner.banned_until,
        "outcomes": [_outcome(line) for line in miner.outcomes],
        "under_audit": [_outcome(line) for line in miner.under_audit],
    }


def _outcome(line: OutcomeLine) -> Document:
    return {
        "contribution": f"{line.task}:{line.round}:{line.shard}",
        "outcome": line.outcome,
        "reason": line.reason,
        "height": line.height,
    }


def _lease(lease: LeaseStatusLine) -> Document:
    return {
        "task": lease.task,
        "round": lease.round,
        "shard": lease.shard,
        "stage": lease.stage,
        "step": lease.step,
        "steps": lease.steps,
        "loss": _finite(lease.loss),
        "deadline_height": lease.deadline_height,
    }


def _device(device: DeviceStatus) -> Document:
    return {
        "device": device.device,
        "name": device.name,
        "memory_bytes": device.memory_bytes,
        "pid": device.pid,
        "state": device.state,
        "busy": device.busy,
        "step": device.step,
        "steps": device.steps,
        "steps_per_s": _finite(device.steps_per_second),
        "restarts": device.restarts,
    }


def _task(task: TaskLine) -> Document:
    return {
        "task": task.task,
        "status": task.status,
        "architecture": task.architecture,
        "mode": task.mode,
        "round": task.round,
        "rounds": task.rounds,
        "loss": _finite(task.loss),
        "budget": format_amount(task.budget),
        "escrow": format_amount(task.escrow),
    }


def _finite(number: float | None) -> float | None:
    """JSON has no infinity: a loss that is not a number is an unknown one."""
    return number if number is not None and math.isfinite(number) else None


def _alerts(status: NodeStatus) -> list[Document]:
    if status.state is not StateCode.ERROR:
        return []
    return [
        {"code": reason.code, "severity": "error", "message": reason.detail, "fix": status.advice}
        for reason in status.reasons
    ]
