"""What the authors of a chain earn by claims, and what one loses that leaves claims out."""

from collections.abc import Mapping
from dataclasses import dataclass

from potp2p.foundation.types import Amount, Height, NodeId
from potp2p.protocol.incentives.rewards import author_tips
from potp2p.protocol.ledger.tasks import price_of
from potp2p.protocol.ledger.transition import decode_transaction
from potp2p.protocol.wire.blocks import Block
from potp2p.protocol.wire.schema import decode
from potp2p.protocol.wire.transactions import Contribute
from potp2p.simulation.adversaries.cheat import Crime
from potp2p.simulation.machine import Machine


@dataclass(frozen=True, slots=True)
class BookedClaim:
    """A lease's first claim, where the chain has it."""

    encoded: bytes
    height: Height
    author: NodeId
    tip: Amount
    """What the author got for it, or would have got with a rank."""


@dataclass(frozen=True, slots=True)
class Claims:
    """Who wrote the blocks of a chain, and which claims earned a tip there."""

    authors: Mapping[Height, NodeId]
    booked: tuple[BookedClaim, ...]


def claims_of(machine: Machine, height: int) -> Claims:
    """Read a whole chain for its claims."""
    state, genesis = machine.node.chain.state(), machine.node.chain.ledger.genesis
    authors: dict[Height, NodeId] = {}
    booked: dict[Crime, BookedClaim] = {}
    for at in (Height(each) for each in range(1, height + 1)):
        stored = machine.store.block(at)
        assert stored is not None, "the simulator keeps every block"
        block = decode(Block, stored[0])
        authors[at] = block.header.body.author
        for encoded in block.transactions:
            action = decode_transaction(encoded).body.action
            if isinstance(action, Contribute):
                task = state.task(action.task)
                tip = price_of(task.rules, task.budget, genesis).tip
                lease = (action.task, action.round, action.shard)
                claim = BookedClaim(encoded, at, authors[at], author_tips(tip, ranked=True))
                booked.setdefault(lease, claim)
    return Claims(authors, tuple(booked.values()))


def tips_forgone(node: NodeId, hidden: Mapping[Height, frozenset[bytes]], claims: Claims) -> int:
    """
    Return the tips that an author lost by what it left out of blocks of its own that stand.

    A claim counts once, and not where a later block of the same author has it after all.
    """
    earliest: dict[bytes, Height] = {}
    for height in sorted(hidden, reverse=True):
        if claims.authors.get(height) == node:
            earliest.update(dict.fromkeys(hidden[height], height))
    return sum(
        claim.tip
        for claim in claims.booked
        if claim.author != node and earliest.get(claim.encoded, claim.height) < claim.height
    )
