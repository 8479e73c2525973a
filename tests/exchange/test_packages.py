"""A package is fetched whole and held against the chain; withheld files are waited for."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from potp2p.exchange import packages as module
from potp2p.exchange.blobs import BlobExchange
from potp2p.exchange.packages import PackageFiles
from potp2p.exchange.packing import pack
from potp2p.foundation.errors import ConfigurationError, MissingError, PeerError, RejectionReason
from potp2p.foundation.limits import PACKAGE_MANIFEST_BYTES_MAX, WITHHELD_SECONDS
from potp2p.foundation.types import BlobId
from potp2p.protocol.wire.blocks import NO_DIGEST
from potp2p.protocol.wire.manifests import (
    INITIAL_FILE,
    MODEL_FILE,
    RULES_FILE,
    PackageEntry,
    PackageManifest,
)
from potp2p.protocol.wire.schema import decode, encode
from potp2p.protocol.wire.tasks import TaskRules
from tests.doubles.network import MemoryHub
from tests.doubles.stores import FolderBlobStore
from tests.doubles.world import key_of, make_rules, write_package

RULES = make_rules(shards=3)
SERVER = (key_of("server").node_id,)


@dataclass
class Side:
    """One peer's files."""

    store: FolderBlobStore
    blobs: BlobExchange
    packages: PackageFiles


@dataclass
class Pair:
    """A peer that has a package and one that wants it."""

    hub: MemoryHub
    server: Side
    reader: Side
    folder: Path


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    """Return two peers on one wire and a package folder."""
    hub = MemoryHub()

    def side(name: str) -> Side:
        network = hub.attach(key_of(name).node_id)
        store = FolderBlobStore(tmp_path / name)
        blobs = BlobExchange(store, network, network, key_of(name).node_id)
        return Side(store, blobs, PackageFiles(blobs))

    write_package(tmp_path / "package", RULES)
    return Pair(hub, side("server"), side("reader"), tmp_path / "package")


async def serve_other_manifest(
    pair: Pair, change: Callable[[list[PackageEntry]], list[PackageEntry]]
) -> BlobId:
    """Serve a package whose file list is not what packing makes."""
    root = await pack(pair.folder, RULES, pair.server.store)
    path = pair.server.store.path(root)
    assert path is not None
    manifest = decode(PackageManifest, path.read_bytes())
    altered = PackageManifest(tuple(change(list(manifest.entries))))
    return await pair.server.store.add_bytes(encode(altered))


async def refusal(pair: Pair, root: BlobId, rules: TaskRules = RULES) -> str:
    """Return why a package is refused."""
    with pytest.raises(PeerError) as refused:
        await pair.reader.packages.fetch_all(root, rules, SERVER)
    assert refused.value.reason is RejectionReason.BAD_TASK
    return refused.value.detail


async def test_a_fitting_package_is_fetched_whole_and_pinned(pair: Pair) -> None:
    root = await pack(pair.folder, RULES, pair.server.store)
    await pair.reader.packages.fetch_all(root, RULES, SERVER)
    assert set(pair.reader.packages.blobs_of(root)) == set(pair.reader.store.pinned())
    assert len(pair.reader.store.pinned()) == 1 + 5 + RULES.rounds.shards
    pair.hub.detach(SERVER[0])
    path = await pair.reader.packages.file(root, MODEL_FILE, ())
    assert path.read_bytes() == (pair.folder / MODEL_FILE).read_bytes()


async def test_initial_weights_stand_under_no_digest(pair: Pair) -> None:
    root = await pack(pair.folder, RULES, pair.server.store)
    theta = await pair.reader.packages.theta(root, BlobId(NO_DIGEST), SERVER)
    assert theta.read_bytes() == (pair.folder / INITIAL_FILE).read_bytes()
    blob = await pair.reader.packages.initial(root, SERVER)
    assert await pair.reader.packages.theta(root, blob, SERVER) == theta


async def test_rules_that_differ_from_the_chain_are_refused(pair: Pair) -> None:
    root = await pack(pair.folder, RULES, pair.server.store)
    other = replace(RULES, seed=RULES.seed + 1)
    assert await refusal(pair, root, other) == "rules in the package differ from the chain's"


async def test_missing_unknown_and_unordered_files_are_refused(pair: Pair) -> None:
    root = await pack(pair.folder, RULES, pair.server.store)
    more = make_rules(shards=4)
    assert await refusal(pair, root, more) == "package with missing or unknown files"
    for change, complaint in (
        (lambda entries: entries[1:], "package with missing or unknown files"),
        (lambda entries: entries[::-1], "package manifest out of order"),
        (lambda entries: [entries[0], *entries], "package manifest out of order"),
        (
            lambda entries: [*entries, PackageEntry("zzz", entries[0].blob, 1)],
            "package with missing or unknown files",
        ),
    ):
        assert await refusal(pair, await serve_other_manifest(pair, change)) == complaint


async def test_sizes_that_lie_or_pass_the_bound_are_refused(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    lying = await serve_other_manifest(
        pair, lambda entries: [replace(each, size=each.size + 1) for each in entries]
    )
    assert "another size than said" in await refusal(pair, lying)
    monkeypatch.setattr(module, "PACKAGE_BYTES_MAX", 10)
    root = await pack(pair.folder, RULES, pair.server.store)
    assert await refusal(pair, root) == "package too large"


async def test_a_root_that_is_no_manifest_or_too_large_is_refused(pair: Pair) -> None:
    rubbish = await pair.server.store.add_bytes(b"\xff\xff")
    with pytest.raises(PeerError) as refused:
        await pair.reader.packages.fetch_all(rubbish, RULES, SERVER)
    assert refused.value.reason is RejectionReason.MALFORMED
    assert pair.reader.store.path(rubbish) is not None
    assert pair.reader.packages.blobs_of(rubbish) == (rubbish,), "a sweep must outlive it"
    huge = await pair.server.store.add_bytes(bytes(PACKAGE_MANIFEST_BYTES_MAX + 1))
    with pytest.raises(PeerError) as refused:
        await pair.reader.packages.fetch_all(huge, RULES, SERVER)
    assert refused.value.reason is RejectionReason.OUT_OF_BOUNDS
    assert pair.reader.store.path(huge) is None, "refused before its content was fetched"


async def test_a_package_nobody_serves_is_missing_and_no_fault(pair: Pair) -> None:
    root = await pack(pair.folder, RULES, pair.server.store)
    pair.hub.detach(SERVER[0])
    with pytest.raises(MissingError):
        await pair.reader.packages.fetch_all(root, RULES, SERVER)
    assert not pair.hub.penalties


async def test_packing_names_the_file_that_is_missing(pair: Pair) -> None:
    (pair.folder / RULES_FILE).unlink()
    with pytest.raises(ConfigurationError, match=r"rules\.cbor is missing"):
        await pack(pair.folder, RULES, pair.server.store)


async def test_who_asks_early_gets_a_withheld_file_the_moment_it_is_released(
    pair: Pair, autojump_clock: MockClock
) -> None:
    blob = await pair.server.blobs.withhold(pair.folder / MODEL_FILE)
    start = trio.current_time()

    async def release() -> None:
        await trio.sleep(WITHHELD_SECONDS / 2)
        assert pair.reader.store.path(blob) is None
        pair.server.blobs.release(blob)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(release)
        await pair.reader.blobs.fetch(blob, SERVER, bytes_max=100)
    assert trio.current_time() - start == pytest.approx(WITHHELD_SECONDS / 2)


async def test_a_file_held_back_again_after_a_restart_is_not_served(
    pair: Pair, autojump_clock: MockClock
) -> None:
    blob = await pair.server.store.add_bytes(b"trained before the crash")
    pair.server.blobs.hold_back(blob)
    with pytest.raises(MissingError):
        await pair.reader.blobs.fetch(blob, SERVER, bytes_max=100)
    pair.server.blobs.release(blob)
    assert (await pair.reader.blobs.fetch(blob, SERVER, bytes_max=100)).is_file()
