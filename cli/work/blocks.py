"""Commands about single blocks and snapshots."""

from datetime import UTC, datetime

import trio

from cli.output import print_document, print_lines, say
from cli.work.identity import Access, client_of
from potp2p.client.blocks import FoundBlock, fetch_block, list_snapshots
from potp2p.foundation.types import Height
from potp2p.protocol.crypto.identity import account_of, encode_address
from potp2p.protocol.wire.blocks import RANK_NONE
from potp2p.protocol.wire.snapshots import SnapshotOffer

Document = dict[str, object]


def show_block(access: Access, height: int, *, json_output: bool) -> None:
    """Print one block."""
    document = block_document(trio.run(_block, access, Height(height)))
    if json_output:
        print_document(document)
    else:
        print_lines(*(f"{name:<16} {value}" for name, value in document.items()))


async def _block(access: Access, height: Height) -> FoundBlock:
    async with client_of(access) as client:
        return await fetch_block(client, height)
    raise AssertionError("the client's context returns or raises")


def block_document(found: FoundBlock) -> Document:
    """Return a block as JSON values."""
    body, frame = found.block.header.body, found.block.header.frame
    made = datetime.fromtimestamp(body.time_milliseconds / 1000, UTC)
    return {
        "schema": "potp2p.block/1",
        "height": body.height,
        "hash": found.block_hash.hex(),
        "checkpoint": f"{body.height}:{found.block_hash.hex()}",
        "previous_hash": body.previous_hash.hex(),
        "epoch": body.epoch,
        "cycle": body.cycle,
        "time": made.isoformat(timespec="milliseconds"),
        "author": encode_address(account_of(body.author)),
        "rank": None if body.rank == RANK_NONE else body.rank,
        "primary": frame.primary,
        "view": found.seal.view,
        "signers": [each.signer for each in found.seal.signatures],
        "state_root": body.state_root.hex(),
        "transactions": len(found.block.transactions),
        "bytes": sum(len(each) for each in found.block.transactions),
        "verified": True,
    }


def show_snapshots(access: Access, *, json_output: bool) -> None:
    """Print what a new node could begin with."""
    offers = trio.run(_snapshots, access)
    rows = [snapshot_document(offer) for offer in offers]
    if json_output:
        print_document({"schema": "potp2p.snapshots/1", "snapshots": rows})
        return
    print_lines(*(f"height {row['height']}  checkpoint {row['checkpoint']}" for row in rows))
    say(f"a new node begins with it: potp2p start --checkpoint {rows[0]['checkpoint']}")


async def _snapshots(access: Access) -> tuple[SnapshotOffer, ...]:
    async with client_of(access) as client:
        return await list_snapshots(client)
    raise AssertionError("the client's context returns or raises")


def snapshot_document(offer: SnapshotOffer) -> Document:
    """Return an offered snapshot as JSON values."""
    body = offer.header.body
    return {
        "height": body.height,
        "checkpoint": f"{body.height}:{offer.seal.block_hash.hex()}",
        "state_root": body.state_root.hex(),
        "manifest": offer.manifest.hex(),
        "signers": len(offer.seal.signatures),
    }
