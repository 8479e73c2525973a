"""What each piece of a validator's work costs on this machine: medians over the real functions."""

import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import Final

from potp2p.foundation.limits import SHORT_ID_BYTES
from potp2p.foundation.types import (
    POT,
    Amount,
    Digest,
    Epoch,
    Height,
    NodeId,
    Rank,
    Signature,
    ValidatorIndex,
    View,
)
from potp2p.protocol.consensus.events import HeightStarted, MessageReceived
from potp2p.protocol.consensus.machine import Replica
from potp2p.protocol.consensus.view_change import Timing
from potp2p.protocol.crypto.hashing import sha256
from potp2p.protocol.crypto.identity import KeyPair
from potp2p.protocol.crypto.signing import sign, verify_signature
from potp2p.protocol.ledger.block import Ledger
from potp2p.protocol.ledger.genesis import (
    DevnetAccounts,
    chain_id_of,
    devnet_genesis,
    genesis_outcome,
)
from potp2p.protocol.ledger.transition import (
    decode_transaction,
    sign_paid_transaction,
    transaction_id,
    verify_transaction,
)
from potp2p.protocol.ledger.validity import transactions_root
from potp2p.protocol.wire.blocks import RANK_NONE
from potp2p.protocol.wire.consensus import (
    Prepare,
    SignedPrepare,
    decode_frame,
    encode_frame,
)
from potp2p.protocol.wire.genesis import Genesis, GenesisAccount
from potp2p.protocol.wire.schema import encode
from potp2p.protocol.wire.transactions import Transfer

PAYERS: Final = 200
TRANSACTIONS: Final = 1_000
"""The size of block over which costs per transaction are averaged."""
REPEATS: Final = 5
VOTES: Final = 200
SYNCS: Final = 30
SYNC_BYTES: Final = 400


@dataclass(frozen=True, slots=True)
class Costs:
    """Seconds of one validator's processor, or disk, for each piece of work."""

    sign: float
    verify: float
    decode_vote: float
    """One frame with one vote."""
    step_vote: float
    """The machine's own step on a vote."""
    encode_vote: float
    admit: float
    """Per transaction: decode, check shape and signature, name it."""
    execute: float
    """Per transaction, signatures known: apply, then its share of the new state root."""
    execute_block: float
    """Whatever is in the block."""
    root: float
    """Per transaction of a block's transactions root."""
    short_id: float
    """Per transaction known: name it under the salt of a block."""
    sync: float
    """Disk: one append and its fdatasync."""
    send: float = 0.0
    """Transport of one message out, as far as it was measured."""
    receive: float = 0.0

    def with_transport(self, send: float, receive: float) -> "Costs":
        """Return the same with what the library needs for a message."""
        return replace(self, send=send, receive=receive)

    def document(self) -> dict[str, float]:
        """Return everything in microseconds."""
        return {f"{name}_us": round(value * 1e6, 1) for name, value in asdict(self).items()}


class _Store:
    """The state and tree after genesis, in memory."""

    def __init__(self, records: dict[bytes, bytes], tree: dict[bytes, bytes]) -> None:
        self._records, self._tree = records, tree

    def get_state(self, key: bytes) -> bytes | None:
        """Return a record."""
        return self._records.get(key)

    def get_node(self, path: bytes) -> bytes | None:
        """Return a node."""
        return self._tree.get(path)


def measure_costs(folder: Path | None = None) -> Costs:
    """Run every function a few times; syncs happen in `folder`, by default a temporary one."""
    keys = [KeyPair.from_secret(sha256(b"published %d" % index)) for index in range(PAYERS)]
    genesis = _genesis(keys)
    chain_id = chain_id_of(genesis)
    vote = Prepare(Epoch(0), Height(1), View(0), ValidatorIndex(1), Digest(bytes(32)))
    body = encode(vote)
    signature = sign(keys[1], vote.DOMAIN, chain_id, body)
    frame = SignedPrepare(vote, signature)
    encoded = encode_frame(frame)
    ledger = _ledger(genesis)
    transfers = [_transfers(keys, genesis, repeat) for repeat in range(REPEATS)]
    empty = _time(lambda: _execute(ledger, keys[0].node_id, []), REPEATS)
    full = median(
        _time(lambda batch=batch: _execute(ledger, keys[0].node_id, batch), 1)  # type: ignore[misc]
        for batch in transfers
    )
    return Costs(
        sign=_time(lambda: sign(keys[1], vote.DOMAIN, chain_id, body), VOTES),
        verify=_time(
            lambda: verify_signature(keys[1].node_id, signature, vote.DOMAIN, chain_id, body), VOTES
        ),
        decode_vote=_time(lambda: decode_frame(encoded), VOTES),
        step_vote=_step_vote(frame),
        encode_vote=_time(lambda: encode_frame(frame), VOTES),
        admit=_admit(keys, genesis),
        execute=(full - empty) / TRANSACTIONS,
        execute_block=empty,
        root=_time(lambda: transactions_root(transfers[0]), REPEATS) / TRANSACTIONS,
        short_id=_time(lambda: _short_ids(transfers[0]), REPEATS) / TRANSACTIONS,
        sync=_sync(folder),
    )


def _time(
    work: Callable[[], object], repeats: int, clock: Callable[[], float] = time.thread_time
) -> float:
    """Return the median time of a piece of work; processor time, unless it waits for a disk."""
    taken: list[float] = []
    for _ in range(repeats):
        started = clock()
        work()
        taken.append(clock() - started)
    return median(taken)


def _genesis(keys: list[KeyPair]) -> Genesis:
    money = Amount(1_000 * POT)
    accounts = DevnetAccounts(keys[0].node_id, money, keys[1].node_id, money)
    seats = [KeyPair.from_secret(sha256(b"published seat %d" % seat)) for seat in range(4)]
    genesis = devnet_genesis(seats, accounts, time_milliseconds=1)
    known = {each.account for each in genesis.accounts}
    more = [GenesisAccount(each.account, money, Amount(0)) for each in keys]
    every = [*genesis.accounts, *(each for each in more if each.account not in known)]
    # Without a base fee: what a block costs does not depend on who pays how much.
    return replace(
        genesis,
        accounts=tuple(sorted(every, key=lambda each: each.account)),
        money=replace(genesis.money, base_fee_floor=Amount(0)),
    )


def _ledger(genesis: Genesis) -> Ledger:
    outcome = genesis_outcome(genesis, chain_id_of(genesis))
    records = {key: value for key, value in outcome.state_writes.items() if value is not None}
    tree = {key: value for key, value in outcome.node_writes.items() if value is not None}
    store = _Store(records, tree)
    return Ledger(genesis, store, store, outcome.state_root)


def _transfers(keys: list[KeyPair], genesis: Genesis, repeat: int) -> list[bytes]:
    """Return signed transfers, each batch of other amounts, so that no cache has met them."""
    chain_id = chain_id_of(genesis)
    return [
        sign_paid_transaction(
            keys[index % PAYERS],
            chain_id,
            index // PAYERS,
            Amount(1),
            Transfer(keys[(index * 7 + 1) % PAYERS].account, Amount(1 + repeat)),
        )
        for index in range(TRANSACTIONS)
    ]


def _execute(ledger: Ledger, author: NodeId, transactions: list[bytes]) -> None:
    ledger.execute(None, Height(1), author, Rank(RANK_NONE), transactions, lambda _: True)


def _admit(keys: list[KeyPair], genesis: Genesis) -> float:
    chain_id = chain_id_of(genesis)
    taken: list[float] = []
    for encoded in _transfers(keys, genesis, REPEATS + 1):
        started = time.thread_time()
        transaction = decode_transaction(encoded)
        verify_transaction(transaction, chain_id)
        transaction_id(transaction.body)
        sha256(encoded)
        taken.append(time.thread_time() - started)
    return median(taken)


def _short_ids(transactions: list[bytes]) -> list[bytes]:
    salt = bytes(32)
    return [sha256(salt + sha256(each))[:SHORT_ID_BYTES] for each in transactions]


def _step_vote(frame: SignedPrepare) -> float:
    """Return the median time of a step on one of many votes."""
    size = 50
    taken: list[float] = []
    for _ in range(REPEATS):
        replica = Replica(Timing(500, 1_000, 700, 10_000))
        replica.step(facts_of(size, 0, 1, Digest(bytes(32))))
        for signer in range(1, size):
            statement = replace(frame.statement, signer=ValidatorIndex(signer))
            message = SignedPrepare(statement, Signature(bytes(64)))
            started = time.thread_time()
            replica.step(MessageReceived(message))
            taken.append(time.thread_time() - started)
    return median(taken)


def facts_of(size: int, seat: int, height: int, head: Digest) -> HeightStarted:
    """Return what a seat needs to know of a height whose seal the caller adds."""
    return HeightStarted(
        height=Height(height),
        epoch=Epoch(0),
        head_hash=head,
        validators=tuple(NodeId(bytes((2, *bytes(31), index))) for index in range(size)),
        seat=ValidatorIndex(seat),
        primaries=tuple(ValidatorIndex((height + view) % size) for view in range(size)),
        head_seal=None,
    )


def _sync(folder: Path | None) -> float:
    with tempfile.TemporaryDirectory(dir=folder) as place:
        descriptor = os.open(Path(place) / "journal", os.O_WRONLY | os.O_CREAT, 0o600)
        try:

            def append() -> None:
                os.write(descriptor, bytes(SYNC_BYTES))
                os.fdatasync(descriptor)

            return _time(append, SYNCS, time.perf_counter)
        finally:
            os.close(descriptor)
