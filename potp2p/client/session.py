"""
A client's connection to the network: a light peer with an account and a blob store of its own.

Nothing a peer answers is believed without a proof under a header that a quorum sealed.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

import trio

from potp2p.client.certificates import verify_certificate_file, with_links
from potp2p.client.epochs import EpochReader
from potp2p.client.known_seats import recall, remember
from potp2p.client.light import Proved, Trust, trust_in, verify_reply
from potp2p.client.model import write_model_folder
from potp2p.client.package import Package
from potp2p.client.progress import OVER, TaskProgress, progress_of
from potp2p.exchange.blobs import BlobExchange
from potp2p.exchange.packages import PackageFiles
from potp2p.exchange.packing import pack
from potp2p.foundation.amounts import format_amount
from potp2p.foundation.errors import (
    FundsError,
    MissingError,
    OperatingError,
    PeerError,
    UnreachableError,
)
from potp2p.foundation.limits import (
    AMOUNT_BOUND,
    BLOB_BYTES_MAX,
    EPOCHS_PER_FILE_MAX,
    SUBMIT_SECONDS,
)
from potp2p.foundation.types import (
    GENESIS_HEIGHT,
    AccountId,
    Amount,
    BlobId,
    Digest,
    Height,
    NodeId,
    TaskId,
)
from potp2p.network.adapter import Network, NetworkConfiguration
from potp2p.network.ports import StreamProtocol
from potp2p.protocol.crypto.identity import KeyPair
from potp2p.protocol.incentives.fees import quoted_fee
from potp2p.protocol.ledger.heights import epoch_of
from potp2p.protocol.ledger.keys import account_key, candidates_key, chain_key, task_key
from potp2p.protocol.ledger.records import Account, Chain, Task, TaskStatus
from potp2p.protocol.ledger.seat_records import Candidates
from potp2p.protocol.ledger.transition import sign_paid_transaction, transaction_id
from potp2p.protocol.wire.certificates import CertificateRequest
from potp2p.protocol.wire.exchange import QueryReply, QueryRequest
from potp2p.protocol.wire.genesis import Genesis
from potp2p.protocol.wire.manifests import MODEL_FILE
from potp2p.protocol.wire.schema import decode, encode
from potp2p.protocol.wire.transactions import (
    Bond,
    CancelTask,
    Paid,
    SubmitTask,
    Transaction,
    Transfer,
    Unbond,
)
from potp2p.storage.blobs import BlobFiles

CONNECT_SECONDS = 20.0
QUERY_SECONDS = 5.0
INCLUSION_SECONDS = 60.0
LOOK_SECONDS = 0.5
"""Between two looks at a record that is expected to change."""
HEIGHT_REGRESS_MAX = 5
"""An answer this many blocks older than one seen before is refused as stale."""

NONCE_LARGE = 1 << 32
"""Takes as many bytes as any nonce to come."""

Record = TypeVar("Record")


@dataclass(frozen=True, slots=True)
class FetchedModel:
    """What a fetch left in a folder."""

    folder: Path
    checkpoint: str
    round: int
    loss: float | None


@dataclass(slots=True)
class Client:
    """The verbs of a person with a model; made by `connect`."""

    keys: KeyPair
    trust: Trust
    genesis: Genesis
    network: Network
    store: BlobFiles
    blobs: BlobExchange
    _seen_height: Height = GENESIS_HEIGHT

    @property
    def validators(self) -> tuple[NodeId, ...]:
        """Return the newest validators that are known."""
        return self.trust.validators

    async def query(self, key: bytes) -> Proved:
        """Ask until one peer gives a proved record that is not stale."""
        failures: list[str] = []
        for peer in (*self.network.directory.peers(), *self.validators):
            try:
                answer = await self.network.streams.request(
                    peer,
                    StreamProtocol.QUERY,
                    encode(QueryRequest(key)),
                    deadline_seconds=QUERY_SECONDS,
                )
                if not answer:
                    raise UnreachableError("no block is decided yet")
                return await self.believe(peer, key, decode(QueryReply, answer))
            except PeerError as error:
                self.network.directory.penalise(peer, error)
                failures.append(str(error))
            except (MissingError, UnreachableError) as error:
                failures.append(str(error))
        raise UnreachableError(f"no peer answers: {failures[-1] if failures else 'none connected'}")

    async def believe(self, peer: NodeId, key: bytes, reply: QueryReply) -> Proved:
        """
        Return a record that a peer shows.

        PeerError where its proof does not hold, UnreachableError where it is stale.
        """
        await self._follow(peer, reply.header.body.height)
        proved = verify_reply(self.trust, key, reply)
        height = proved.header.body.height
        if height + HEIGHT_REGRESS_MAX < self._seen_height:
            raise UnreachableError(f"answer of height {height} is stale")
        self._seen_height = max(height, self._seen_height)
        return proved

    async def height(self) -> Height:
        """Return the height of the newest sealed header a peer shows."""
        return (await self.query(chain_key())).header.body.height

    async def chain(self) -> Chain:
        """Return the record about the chain."""
        return _require(Chain, await self.query(chain_key()), "chain record")

    async def candidates(self) -> Candidates:
        """Return who asks for a seat in the next epoch."""
        proved = await self.query(candidates_key())
        return Candidates(()) if proved.value is None else decode(Candidates, proved.value)

    async def certificate(self, height: Height) -> bytes:
        """Return a height's certificate file, verified; MissingError where there is none."""
        failure = "no peer connected"
        epoch = epoch_of(height, self.genesis.consensus)
        for peer in dict.fromkeys((*self.network.directory.peers(), *self.validators)):
            try:
                answer = await self.network.streams.request(
                    peer,
                    StreamProtocol.CERTIFICATES,
                    encode(CertificateRequest(height)),
                    deadline_seconds=QUERY_SECONDS,
                )
                await self._follow(peer, height)
                verify_certificate_file(
                    answer, self.trust.chain_id, self.trust.validators_of(epoch)
                )
                if epoch <= EPOCHS_PER_FILE_MAX:
                    links = await EpochReader(self.network.streams).path(peer, epoch)
                    answer = with_links(answer, self.trust, links)
            except PeerError as error:
                self.network.directory.penalise(peer, error)
                failure = str(error)
            except (MissingError, UnreachableError) as error:
                failure = str(error)
            else:
                return answer
        raise MissingError(f"no certificate of height {height}: {failure}")

    async def _follow(self, peer: NodeId, height: Height) -> None:
        """Learn who sealed a height, from the peer that speaks of it."""
        epoch = epoch_of(height, self.genesis.consensus)
        self.trust = await EpochReader(self.network.streams).follow(self.trust, peer, epoch)

    async def account(self, account: AccountId) -> Account:
        """Return an account; one that nobody has paid yet is empty."""
        proved = await self.query(account_key(account))
        if proved.value is None:
            return Account(Amount(0), 0, Amount(0), ())
        return decode(Account, proved.value)

    async def task(self, task: TaskId) -> Task:
        """Return a task; MissingError when the chain does not know it."""
        return _require(Task, await self.query(task_key(task)), f"task {task.hex()[:16]}")

    async def quote(self, action: Paid) -> Amount:
        """Return a fee that is enough for an action in the next blocks, even if they are full."""
        chain = await self.chain()
        dear = Amount(AMOUNT_BOUND - 1)
        encoded = sign_paid_transaction(self.keys, self.trust.chain_id, NONCE_LARGE, dear, action)
        return quoted_fee(chain.base_fee, len(encoded))

    async def transfer(self, recipient: AccountId, amount: Amount, fee: Amount) -> Digest:
        """Pay an account; returns the transaction id once it stands on the chain."""
        return await self._send(Transfer(recipient, amount), Amount(amount + fee), fee)

    async def bond(self, beneficiary: AccountId, amount: Amount, fee: Amount) -> Digest:
        """Lock money as anyone's bond; returns once it stands on the chain."""
        return await self._send(Bond(beneficiary, amount), Amount(amount + fee), fee)

    async def unbond(self, amount: Amount, fee: Amount) -> Digest:
        """Ask for own bond back; a seat is left for it, with the epoch."""
        owner, chain = await self.account(self.keys.account), await self.chain()
        if owner.bond < amount:
            raise FundsError(
                f"bond {format_amount(owner.bond)} POT is below {format_amount(amount)} POT"
            )
        if any(seat.node == self.keys.node_id and seat.leaving for seat in chain.seats):
            raise OperatingError("the validator leaves its seat already")
        return await self._send(Unbond(amount), fee, fee)

    async def submit_task(self, package: Package, budget: Amount, fee: Amount) -> TaskId:
        """Escrow a budget for a package; the caller keeps serving it until it is attested."""
        root = await pack(package.folder, package.rules, self.store)
        await self.network.directory.provide(root)
        action = SubmitTask(root, budget, package.rules)
        task = TaskId(await self._send(action, Amount(budget + fee), fee))
        await self.task(task)
        return task

    async def cancel_task(self, task: TaskId, fee: Amount) -> Digest:
        """End an own task at the end of its round."""
        return await self._send(CancelTask(task), fee, fee)

    async def serve_until_attested(self, task: TaskId) -> Task:
        """Serve the package until the task runs or is over."""
        async for progress in self.progress(task):
            if progress.status != TaskStatus.ATTESTING.name.lower():
                break
        return await self.task(task)

    async def progress(self, task: TaskId) -> AsyncIterator[TaskProgress]:
        """Yield a task's progress whenever it changes, until it is over."""
        last: TaskProgress | None = None
        while True:
            proved = await self.query(task_key(task))
            record = _require(Task, proved, f"task {task.hex()[:16]}")
            now = progress_of(task, record, proved.header.body.height)
            if last is None or (now.status, now.round) != (last.status, last.round):
                yield now
                last = now
            if record.status in OVER:
                return
            await trio.sleep(LOOK_SECONDS)

    async def fetch_model(self, task: TaskId, out: Path, *, best: bool = False) -> FetchedModel:
        """Write config, weights and receipt of a task's last or best checkpoint into a folder."""
        record = await self.task(task)
        theta = record.best if best else record.theta
        if not any(theta):
            raise MissingError(f"task {task.hex()[:16]} has no checkpoint yet")
        hints = self.validators
        files = PackageFiles(self.blobs)
        configuration = await files.file(record.package_root, MODEL_FILE, hints)
        checkpoint = await self.blobs.fetch(BlobId(theta), hints, bytes_max=BLOB_BYTES_MAX)
        losses = record.losses
        loss = (record.best_loss if best else losses[-1]) / 1e6 if losses else None
        receipt = asdict(progress_of(task, record, self._seen_height))
        receipt |= {"checkpoint": theta.hex(), "package_root": record.package_root.hex()}
        receipt |= {"chain_id": self.trust.chain_id.hex(), "loss": loss}
        await trio.to_thread.run_sync(write_model_folder, out, configuration, checkpoint, receipt)
        return FetchedModel(out, theta.hex(), record.round, loss)

    async def _send(self, action: Paid, cost: Amount, fee: Amount) -> Digest:
        """Sign, hand to several peers and wait until the nonce shows that it was executed."""
        before = await self.account(self.keys.account)
        if before.balance < cost:
            raise FundsError(
                f"balance {format_amount(before.balance)} POT does not cover "
                f"{format_amount(cost)} POT"
            )
        encoded = sign_paid_transaction(self.keys, self.trust.chain_id, before.nonce, fee, action)
        await self.hand_over(encoded)
        with trio.move_on_after(INCLUSION_SECONDS):
            while True:
                if (await self.account(self.keys.account)).nonce > before.nonce:
                    return transaction_id(decode(Transaction, encoded).body)
                await trio.sleep(LOOK_SECONDS)
        raise OperatingError(
            f"not on the chain after {INCLUSION_SECONDS:.0f} s; the transaction may still come"
        )

    async def hand_over(self, encoded: bytes) -> None:
        """Give a transaction to more than a third of the validators, or to whoever takes it."""
        taken, failure = 0, ""
        for peer in dict.fromkeys((*self.validators, *self.network.directory.peers())):
            try:
                await self.network.streams.request(
                    peer, StreamProtocol.SUBMIT, encoded, deadline_seconds=SUBMIT_SECONDS
                )
            except UnreachableError as error:
                failure = str(error)
                continue
            taken += 1
            if taken > len(self.validators) // 3:
                return
        if not taken:
            raise UnreachableError(f"no peer takes the transaction: {failure}")


def _require(kind: type[Record], proved: Proved, name: str) -> Record:
    if proved.value is None:
        raise MissingError(f"{name} is not on the chain")
    return decode(kind, proved.value)


@asynccontextmanager
async def connect(
    genesis_bytes: bytes,
    secret: bytes,
    bootstrap: tuple[str, ...],
    data_folder: Path,
    *,
    peer_secret: bytes | None = None,
) -> AsyncIterator[Client]:
    """
    Join the network as a light peer for as long as the context lasts.

    The peer is known by the account's own key, so that it can be asked for what it ordered, unless
    it is given another: two peers of one key would take each other's connections.
    """
    first, genesis = trust_in(genesis_bytes)
    trust = recall(first, data_folder)
    keys = KeyPair.from_secret(secret)
    network = Network(
        NetworkConfiguration(
            secret_key=secret if peer_secret is None else peer_secret,
            chain_id=trust.chain_id,
            listen=("/ip4/127.0.0.1/tcp/0",) if _is_local(bootstrap) else ("/ip4/0.0.0.0/tcp/0",),
            bootstrap=bootstrap,
        )
    )
    store = BlobFiles(data_folder / "blobs")
    peer = keys if peer_secret is None else KeyPair.from_secret(peer_secret)
    blobs = BlobExchange(store, network.streams, network.directory, peer.node_id)
    async with trio.open_nursery() as nursery:
        await nursery.start(network.run)
        client = Client(keys, trust, genesis, network, store, blobs)
        await _wait_for_peer(client)
        yield client
        if client.trust.epochs > trust.epochs:
            remember(client.trust, data_folder)
        nursery.cancel_scope.cancel()


async def _wait_for_peer(client: Client) -> None:
    """Return once a peer answers a query; the bootstrap node alone does not count."""
    failure = "no peer connected"
    with trio.move_on_after(CONNECT_SECONDS):
        while True:
            try:
                await client.query(chain_key())
            except UnreachableError as error:
                failure = str(error)
                await trio.sleep(LOOK_SECONDS)
            else:
                return
    raise UnreachableError(f"no node answers within {CONNECT_SECONDS:.0f} s: {failure}")


def _is_local(bootstrap: tuple[str, ...]) -> bool:
    return all(address.startswith("/ip4/127.") for address in bootstrap)
