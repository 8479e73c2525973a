"""
A chain made by hand: every seat's key is known, so blocks are sealed as fast as they are executed.

Every block holds in every respect: links, signatures, beacon, state root, seal. Only the network
that would have agreed on it is missing. Catch-up is measured and tested on it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from potp2p.foundation.types import POT, Amount, Digest, Epoch, Height, ValidatorIndex, View
from potp2p.protocol.crypto.beacon import NO_REVEAL, beacon_seed, reveal
from potp2p.protocol.crypto.hashing import tagged_hash
from potp2p.protocol.crypto.identity import KeyPair
from potp2p.protocol.crypto.signing import sign
from potp2p.protocol.ledger.block import Ledger, Outcome, Prospects
from potp2p.protocol.ledger.genesis import DevnetAccounts, devnet_genesis
from potp2p.protocol.ledger.heights import reveal_position
from potp2p.protocol.ledger.state import StateReader
from potp2p.protocol.ledger.transition import sign_paid_transaction
from potp2p.protocol.ledger.tree import NodeReader
from potp2p.protocol.ledger.validity import block_hash, frame_body, seal_hash, transactions_root
from potp2p.protocol.wire.blocks import (
    BLOCK_VERSION,
    BODY_DOMAIN,
    COMMIT_DOMAIN,
    NO_DIGEST,
    RANK_NONE,
    AuthoredBody,
    Block,
    BlockBody,
    CommitSignature,
    CommitStatement,
    Frame,
    Header,
    Seal,
)
from potp2p.protocol.wire.genesis import Genesis, GenesisAccount
from potp2p.protocol.wire.schema import encode
from potp2p.protocol.wire.transactions import Transfer

KEY_DOMAIN: Final = "potp2p/bench-sync-key/1"
PAYER_BALANCE: Final = Amount(1_000 * POT)
FEE: Final = Amount(1_000)
TIME_MILLISECONDS: Final = 1_767_225_600_000
BLOCK_MILLISECONDS: Final = 500


class Reader(StateReader, NodeReader, Protocol):
    """The state that blocks are made on."""


@dataclass(frozen=True, slots=True)
class MadeBlock:
    """A sealed block and what it does to the state; whoever stores it lets the next one follow."""

    block: Block
    seal: Seal
    outcome: Outcome


def sync_key(name: str) -> KeyPair:
    """Return a key of the made chain; it guards nothing."""
    return KeyPair.from_secret(bytes(tagged_hash(KEY_DOMAIN, name.encode())))


def validator_keys(count: int) -> list[KeyPair]:
    """Return the keys of the seats, in order."""
    return [sync_key(f"validator {index}") for index in range(count)]


def sync_genesis(validators: int, payers: int) -> Genesis:
    """Return the document of a devnet whose payers have money from the start."""
    genesis = devnet_genesis(
        validator_keys(validators),
        DevnetAccounts(
            sync_key("client").node_id, PAYER_BALANCE, sync_key("sponsor").node_id, PAYER_BALANCE
        ),
        time_milliseconds=TIME_MILLISECONDS,
        network="bench-sync",
    )
    rows = [
        GenesisAccount(sync_key(f"payer {index}").account, PAYER_BALANCE, Amount(0))
        for index in range(payers)
    ]
    accounts = tuple(sorted((*genesis.accounts, *rows), key=lambda row: row.account))
    # Blocks fuller than half, one after the other, would become too dear for any payer.
    money = replace(genesis.money, base_fee_floor=Amount(0))
    return replace(genesis, accounts=accounts, money=money)


@dataclass(slots=True)
class ChainMaker:
    """Makes one block after the other; its owner stores each before the next."""

    genesis: Genesis
    keys: Sequence[KeyPair]
    """Of every seat, in order."""
    payers: int
    reader: Reader
    state_root: Digest
    parent: Header | None = None
    parent_seal: Seal | None = None
    ledger: Ledger = field(init=False)
    _payers: list[KeyPair] = field(init=False)
    _paid: int = 0

    def __post_init__(self) -> None:
        self.ledger = Ledger(self.genesis, self.reader, self.reader, self.state_root)
        self._payers = [sync_key(f"payer {index}") for index in range(self.payers)]

    def make(self, transactions: int) -> MadeBlock:
        """Make the next block with so many transfers; every payer pays in turn."""
        prospects = self.ledger.prospects(self.parent)
        seat = prospects.primaries[0]
        encoded = [self._transfer() for _ in range(transactions)]
        outcome = self.ledger.execute(
            self.parent, prospects.height, self.keys[seat].node_id, RANK_NONE, encoded, _ours
        )
        block = self._block(prospects, seat, outcome)
        seal = self.seal(block.header)
        return MadeBlock(block, seal, outcome)

    def follow(self, made: MadeBlock) -> None:
        """Go on above a block whose outcome the reader shows now."""
        self.ledger.state_root = made.outcome.state_root
        self.parent, self.parent_seal = made.block.header, made.seal

    def seal(self, header: Header, sign_with: Callable[[int], bool] = lambda _: True) -> Seal:
        """Return the seal of a header, by the seats that are chosen."""
        body, digest = header.body, block_hash(header)
        signatures = tuple(
            CommitSignature(
                ValidatorIndex(seat),
                sign(
                    keys,
                    COMMIT_DOMAIN,
                    self.ledger.chain_id,
                    encode(
                        CommitStatement(
                            body.epoch, body.height, View(0), ValidatorIndex(seat), digest
                        )
                    ),
                ),
            )
            for seat, keys in enumerate(self.keys)
            if sign_with(seat)
        )
        return Seal(body.epoch, body.height, View(0), digest, signatures)

    def _block(self, prospects: Prospects, seat: ValidatorIndex, outcome: Outcome) -> Block:
        author = self.keys[seat]
        body = BlockBody(
            version=BLOCK_VERSION,
            height=prospects.height,
            previous_hash=(
                Digest(self.ledger.chain_id) if self.parent is None else block_hash(self.parent)
            ),
            previous_seal_hash=seal_hash(self.parent_seal),
            epoch=prospects.epoch,
            cycle=prospects.cycle,
            author=author.node_id,
            rank=RANK_NONE,
            transactions_root=transactions_root(outcome.included),
            state_root=outcome.state_root,
            next_validators_hash=prospects.next_validators_hash,
            certificate_hash=prospects.certificate_hash,
            time_milliseconds=TIME_MILLISECONDS + prospects.height * BLOCK_MILLISECONDS,
        )
        signature = sign(author, BODY_DOMAIN, self.ledger.chain_id, encode(body))
        authored = AuthoredBody(body, signature, self.parent_seal, outcome.included)
        return frame_body(authored, Frame(seat, View(0), self._reveal(prospects, seat)))

    def _reveal(self, prospects: Prospects, seat: ValidatorIndex) -> Digest:
        if prospects.anchors[seat] == NO_DIGEST:
            return NO_REVEAL
        consensus = self.genesis.consensus
        length = consensus.cycle_blocks * consensus.epoch_cycles
        seed = beacon_seed(self.keys[seat].secret, Epoch(prospects.epoch))
        return reveal(seed, length, reveal_position(Height(prospects.height), consensus))

    def _transfer(self) -> bytes:
        turn, payer = divmod(self._paid, self.payers)
        recipient = self._payers[(payer * 7 + turn) % self.payers].account
        self._paid += 1
        action = Transfer(recipient, Amount(1 + turn))
        return sign_paid_transaction(self._payers[payer], self.ledger.chain_id, turn, FEE, action)


def _ours(_transaction: bytes) -> bool:
    """We have just signed it."""
    return True
