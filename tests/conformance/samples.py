"""
One full and one bare sample of every message and record, derived from its annotations.

Full: greatest numbers, shortest and filled byte strings, two items, the last of each choice; so a
bound that moves shows as well. Bare: zeros, nothing, the first of each choice.
"""

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from enum import IntEnum
from hashlib import sha256
from types import ModuleType, NoneType, UnionType
from typing import Annotated, Final, Union, get_args, get_origin, get_type_hints

from potp2p.foundation.types import Amount, Digest, Epoch, Height, Round, ShardIndex, TaskId
from potp2p.protocol.crypto.beacon import beacon_seed, chain_anchor, draw, reveal, sample, shuffle
from potp2p.protocol.crypto.hashing import tagged_hash
from potp2p.protocol.crypto.signing import sign
from potp2p.protocol.incentives.lottery import ticket
from potp2p.protocol.incentives.weights import weights_root
from potp2p.protocol.ledger import audit_records, keys, receipt_records, records, seat_records, tree
from potp2p.protocol.ledger.genesis import chain_id_of, genesis_outcome
from potp2p.protocol.ledger.transition import sign_paid_transaction, transaction_id
from potp2p.protocol.ledger.validity import block_hash, seal_hash, transactions_root
from potp2p.protocol.scheduling.assignment import Worker, assign
from potp2p.protocol.verification.commitments import (
    Contribution,
    Finding,
    LeaseKey,
    audit_commitment,
    nudge_of,
    trace_commitment,
)
from potp2p.protocol.verification.sampling import is_drawn
from potp2p.protocol.wire import (
    blocks,
    certificates,
    consensus,
    exchange,
    genesis,
    manifests,
    snapshots,
    submission,
    tasks,
    transactions,
    verification,
)
from potp2p.protocol.wire.schema import Int, Many, Octets, Text, Uint, encode
from potp2p.training import commands, reports
from tests.doubles.ledger_world import RULES, build_world, key_pair

MODULES: Final[tuple[ModuleType, ...]] = (
    blocks,
    certificates,
    consensus,
    exchange,
    genesis,
    manifests,
    snapshots,
    submission,
    tasks,
    transactions,
    verification,
    records,
    audit_records,
    receipt_records,
    seat_records,
    tree,
    commands,
    reports,
)
FILLED_BYTES: Final = 3


def kinds_of(module: ModuleType) -> Iterator[type]:
    """Yield every message that a module defines, in its order: what can change is none."""
    for value in vars(module).values():
        if not isinstance(value, type) or value.__module__ != module.__name__:
            continue
        frozen = is_dataclass(value) and value.__dataclass_params__.frozen
        if frozen and not value.__name__.startswith("_"):
            yield value


def name_of(kind: type) -> str:
    return f"{kind.__module__.removeprefix('potp2p.')}.{kind.__name__}"


def build(kind: type, *, full: bool) -> object:
    """Return a sample of a message."""
    hints = get_type_hints(kind, include_extras=True)
    values = [value_of(hints[each.name], each.name, full=full) for each in fields(kind)]
    return kind(*values)


def value_of(hint: object, name: str, *, full: bool) -> object:
    if get_origin(hint) is Annotated:
        inner, marker, *_ = get_args(hint)
        return _marked(inner, marker, name, full=full)
    if get_origin(hint) in (Union, UnionType):
        options = get_args(hint)
        if not full and NoneType in options:
            return None
        some = [option for option in options if option is not NoneType]
        return value_of(some[-1 if full else 0], name, full=full)
    if hint is bool:
        return full
    assert isinstance(hint, type)
    if issubclass(hint, IntEnum):
        return list(hint)[-1 if full else 0]
    return build(hint, full=full)


def _marked(inner: object, marker: object, name: str, *, full: bool) -> object:
    match marker:
        case Uint(below):
            return below - 1 if full else 0
        case Int(magnitude):
            return -magnitude if full else 0
        case Octets(least, most):
            size = least if most is None else max(least, min(most, FILLED_BYTES) if full else 0)
            return (sha256(name.encode()).digest() * (size // 32 + 1))[:size]
        case Text(most):
            return "text"[:most] if full else ""
        case Many(most):
            item = get_args(inner)[0]
            return tuple(value_of(item, name, full=full) for _ in range(min(2, most) * full))
    raise AssertionError(f"unknown marker {marker}")


def messages() -> Iterator[tuple[str, object]]:
    """Yield a name and a message for every message there is."""
    for module in MODULES:
        for kind in kinds_of(module):
            for full in (False, True):
                yield f"{name_of(kind)}/{'full' if full else 'bare'}", build(kind, full=full)
    for frame, union, field in UNIONS:
        for option in get_args(union):
            rest = [
                value_of(hint, name, full=True) if name != field else build(option, full=True)
                for name, hint in get_type_hints(frame, include_extras=True).items()
            ]
            yield f"{name_of(frame)}/{option.__name__}", frame(*rest)


UNIONS: Final = (
    (transactions.TransactionBody, transactions.Action, "action"),
    (consensus.ConsensusEnvelope, consensus.ConsensusFrame, "frame"),
    (commands.CommandFrame, commands.Command, "command"),
    (reports.ReportFrame, reports.Report, "report"),
)


def values() -> Iterator[tuple[str, bytes]]:
    """Yield what keys, hashes, signatures, draws and a whole chain come to."""
    digest = Digest(sha256(b"sample").digest())
    pair, beacon, task = key_pair("sample"), digest, TaskId(digest)
    world = build_world()
    chain_id = world.chain_id
    yield "node id", pair.node_id
    yield "account", pair.account
    yield "address", pair.address.encode()
    yield "tagged hash", tagged_hash("potp2p/sample/1", b"one", b"two")
    yield "signature", sign(pair, "potp2p/sample/1", chain_id, b"body")
    gift = transactions.Transfer(pair.account, Amount(5))
    yield "signed transaction", sign_paid_transaction(pair, chain_id, 3, Amount(2), gift)
    body = transactions.TransactionBody(pair.node_id, 3, Amount(2), gift)
    yield "transaction id", transaction_id(body)
    header = build(blocks.Header, full=True)
    assert isinstance(header, blocks.Header)
    yield "block hash", block_hash(header)
    seal = build(blocks.Seal, full=True)
    assert isinstance(seal, blocks.Seal)
    yield "seal hash", seal_hash(seal)
    yield "transactions root", transactions_root([b"one", b"two", b"three"])
    certificate = build(certificates.Certificate, full=True)
    yield "certificate hash", tagged_hash(certificates.CERTIFICATE_DOMAIN, encode(certificate))
    weights = [(key_pair(each).node_id, len(each)) for each in ("a", "bb", "ccc")]
    yield "weights root", weights_root(sorted(weights))
    yield "lottery ticket", ticket(beacon, Height(7), 1, 1 << 60).to_bytes(8, "big")
    seed = beacon_seed(pair.secret, 4)
    yield "beacon anchor", chain_anchor(seed, 20)
    yield "beacon reveal", reveal(seed, 20, 7)
    yield "draw", bytes(draw(beacon, "potp2p/draw/1", b"%d" % each, below=251) for each in range(9))
    yield "shuffle", bytes(shuffle(beacon, "potp2p/draw/1", b"", items=range(20)))
    yield "sample", bytes(sample(beacon, "potp2p/draw/1", b"", items=range(20), count=5))
    yield (
        "audits drawn",
        bytes(is_drawn(beacon, task, Round(1), ShardIndex(each), 300_000) for each in range(64)),
    )
    workers = [Worker(key_pair(each).node_id, len(each)) for each in ("a", "bb", "ccc")]
    shards = tuple(map(ShardIndex, range(9)))
    yield (
        "lease table",
        b"".join(assign(shards, workers, beacon=beacon, task=task, round_=Round(2))),
    )
    yield from _audit_values(LeaseKey(task, Round(1), ShardIndex(2), pair.node_id), digest)
    yield "blob id", manifests.root_of(b"content" * 300_000)
    yield from _state_keys(task, pair.account)
    yield from _chain()


def _audit_values(lease: LeaseKey, digest: Digest) -> Iterator[tuple[str, bytes]]:
    trace = build(verification.Trace, full=True)
    distances = build(verification.Distances, full=True)
    assert isinstance(trace, verification.Trace)
    assert isinstance(distances, verification.Distances)
    yield "trace commitment", trace_commitment(lease, bytes(32), trace)
    instability = build(verification.Instability, full=True)
    assert isinstance(instability, verification.Instability)
    finding = Finding(trace, 1, 2, distances, instability)
    work = Contribution(lease, digest)
    yield "audit commitment", audit_commitment(work, lease.miner, bytes(32), finding)
    yield "nudge", nudge_of(work, lease.miner)


def _state_keys(task: TaskId, account: bytes) -> Iterator[tuple[str, bytes]]:
    yield "key/chain", keys.chain_key()
    yield "key/account", keys.account_key(account)
    yield "key/miner", keys.miner_key(account)
    yield "key/task", keys.task_key(task)
    yield "key/round", keys.round_key(task, Round(5))
    yield "key/lease", keys.lease_key(task, Round(5), ShardIndex(6))
    yield "key/audit", keys.audit_key(task, Round(5), ShardIndex(6))
    yield "key/result weights", keys.result_weights_key(7)
    yield "key/frozen weights", keys.frozen_weights_key(7)
    yield "key/due", keys.due_key(Height(8))
    yield "key/past seats", keys.past_seats_key(Epoch(9))
    yield "key/candidates", keys.candidates_key()
    yield "key/convict", keys.convict_key(account)


def _chain() -> Iterator[tuple[str, bytes]]:
    """Run a small network: its document, its roots, its draws and its first rewards."""
    world = build_world()
    yield "genesis document", encode(world.genesis)
    yield "chain id", chain_id_of(world.genesis)
    yield "genesis state root", genesis_outcome(world.genesis, world.chain_id).state_root
    world.run(2)
    yield "state root of height 2", world.ledger.state_root
    task = world.submit(RULES)
    yield "task id", task
    world.run_until(lambda: world.task(task).escrow == 0)
    yield "receipts", b"".join(encode(each) for each in world.receipts)
    yield "receipts root", world.task(task).receipts_root
    yield (
        "first rewards",
        b"".join(world.miner(each).earned.to_bytes(8, "big") for each in world.miners),
    )
    yield "state root after the task", world.ledger.state_root
    prospects = world.ledger.prospects(world.parent)
    yield "certificate after the task", encode(prospects.certificate)
