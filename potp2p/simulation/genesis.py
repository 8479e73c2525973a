"""The network that a simulation begins with: keys by name, short cycles, weights from nowhere."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import trio

from potp2p.foundation.types import POT, Amount, ChainId, Cycle, Epoch, NodeId, PartsPerMillion
from potp2p.protocol.crypto.beacon import beacon_seed, chain_anchor
from potp2p.protocol.crypto.hashing import sha256
from potp2p.protocol.crypto.identity import KeyPair
from potp2p.protocol.incentives.deterrence import fair_pay
from potp2p.protocol.ledger.block import Outcome
from potp2p.protocol.ledger.genesis import DevnetAccounts, devnet_genesis, genesis_outcome
from potp2p.protocol.ledger.keys import frozen_weights_key, result_weights_key
from potp2p.protocol.ledger.records import CycleWeights, Weight
from potp2p.protocol.ledger.tree import update
from potp2p.protocol.wire.genesis import Genesis
from potp2p.protocol.wire.schema import decode, encode

START_SECONDS: Final = 1_767_225_600.0
CLIENT_MONEY: Final = Amount(1_000 * POT)
CYCLE_BLOCKS: Final = 5
EPOCH_CYCLES: Final = 2
LOTTERY_CYCLES: Final = 100
SEAT_BOND: Final = Amount(100 * POT)
SPONSOR_MONEY: Final = Amount(500 * POT)


def unix_seconds() -> float:
    """Return the time of day in the world."""
    return START_SECONDS + trio.current_time()


def key_of(name: str) -> KeyPair:
    """Return the key of whoever bears this name."""
    return KeyPair.from_secret(sha256(b"world " + name.encode()))


def make_genesis(validators: int, *, audit_rate: int = 120_000) -> Genesis:
    """Return a network whose stamps cost nothing and whose audits are over soon."""
    genesis = devnet_genesis(
        [key_of(f"validator-{index}") for index in range(validators)],
        DevnetAccounts(
            key_of("client").node_id, CLIENT_MONEY, key_of("sponsor").node_id, SPONSOR_MONEY
        ),
        time_milliseconds=int(START_SECONDS * 1000),
        network="world",
    )
    training = replace(
        genesis.training,
        stamp_bits=2,
        audit_deadline=12,
        audit_rounds=0,
        audit_all_deadline=24,
        audit_all_rounds=0,
        challenge_window=8,
        package_deadline=30,
    )
    return with_audit_rate(replace(genesis, training=training), audit_rate)


def with_audit_rate(genesis: Genesis, rate: int) -> Genesis:
    """Return the same network with another base rate, and a usual pay that its bond covers."""
    training = replace(genesis.training, audit_rate=PartsPerMillion(rate))
    pay = min(genesis.money.lease_pay, fair_pay(genesis.money, training) - 1)
    money = replace(genesis.money, lease_pay=Amount(pay))
    return replace(genesis, training=training, money=money)


def short_lived(genesis: Genesis) -> Genesis:
    """Return the same network with cycles and epochs so short that every run crosses some."""
    length = CYCLE_BLOCKS * EPOCH_CYCLES
    secrets = {key_of(name).node_id: key_of(name).secret for name in _names(genesis)}
    return replace(
        genesis,
        consensus=replace(
            genesis.consensus,
            cycle_blocks=CYCLE_BLOCKS,
            epoch_cycles=EPOCH_CYCLES,
            lottery_cycles=LOTTERY_CYCLES,
            seats_max=len(genesis.validators) + 3,
        ),
        # Below what the first validators put up, so that the customer can pay for a newcomer.
        money=replace(genesis.money, validator_bond=SEAT_BOND),
        validators=tuple(
            replace(each, anchor=chain_anchor(beacon_seed(secrets[each.node], Epoch(0)), length))
            for each in genesis.validators
        ),
    )


def _names(genesis: Genesis) -> list[str]:
    return [f"validator-{index}" for index in range(len(genesis.validators))]


@dataclass(slots=True)
class _Planted:
    """The nodes of a first state, to be updated."""

    nodes: dict[bytes, bytes | None]

    def get_node(self, path: bytes) -> bytes | None:
        """Return a node of the tree."""
        return self.nodes.get(path)


def first_state(genesis: bytes, authors: Sequence[NodeId] = ()) -> Outcome:
    """
    Return the state at height 0, with equal lottery weights for some nodes from the first cycle on.

    Weights that nobody trained for let authors be ranked, and fail, in networks too short-lived to
    train anything first.
    """
    honest = genesis_outcome(decode(Genesis, genesis), ChainId(sha256(genesis)))
    if not authors:
        return honest
    weights = encode(CycleWeights(tuple(Weight(each, Amount(1_000)) for each in sorted(authors))))
    planted = {frozen_weights_key(Cycle(0)): weights, result_weights_key(Cycle(0)): weights}
    nodes = dict(honest.node_writes)
    root, node_writes = update(_Planted(nodes), honest.state_root, planted)
    return replace(
        honest,
        state_root=root,
        state_writes={**honest.state_writes, **planted},
        node_writes={**nodes, **node_writes},
    )
