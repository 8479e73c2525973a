"""Certificate commands."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import trio

from cli.exits import UsageError
from cli.output import print_document, print_lines, say
from cli.work.identity import Access, client_of, genesis_on_disk, read_chain_id
from potp2p.client.certificates import (
    FILE_BYTES_MAX,
    VerifiedCertificate,
    verify_certificate_file,
    verify_from_genesis,
)
from potp2p.client.genesis import chain_id_of
from potp2p.client.light import trust_in
from potp2p.client.session import Client
from potp2p.foundation.errors import ConfigurationError, MissingError, PeerError
from potp2p.foundation.limits import NODE_ID_BYTES
from potp2p.foundation.types import Height, NodeId
from potp2p.protocol.crypto.identity import account_of, encode_address
from potp2p.protocol.ledger.heights import epoch_of

NOT_KEPT: Final = "are not kept here"
"""What a node says that began with a snapshot."""

Document = dict[str, object]


def list_certificates(access: Access, last: int, *, json_output: bool) -> None:
    """Print one row per cycle."""
    rows = trio.run(_list, access, last)
    if json_output:
        print_document({"schema": "potp2p.certificates/1", "certificates": rows})
        return
    if not rows:
        say("no cycle had a draw yet")
    for row in rows:
        print_lines(
            f"cycle {row['cycle']}  height {row['height']}  winner {row['winner']}  "
            f"signed {row['signers']}  {'verified' if row['verified'] else 'NOT verified'}"
        )


async def _list(access: Access, last: int) -> list[Document]:
    async with client_of(access) as client:
        head = await client.height()
        length = client.genesis.consensus.cycle_blocks
        ends = {min(head, (height // length + 1) * length - 1) for height in range(1, head + 1)}
        rows = []
        for height in sorted(ends)[-last:]:
            try:
                found = await _verified(client, Height(height))
            except MissingError as error:
                # No draw in that cycle: nobody had weight yet. Or nobody keeps blocks that old.
                if NOT_KEPT in str(error):
                    say(f"height {height}: {error}")
                continue
            rows.append(certificate_document(found))
        return rows
    raise AssertionError("the client's context returns or raises")


async def _verified(client: Client, height: Height) -> VerifiedCertificate:
    """Fetch a file, then check it as a stranger would."""
    encoded = await client.certificate(height)
    return _judged(client, encoded, height)


def export_certificate(access: Access, height: int, out: Path, *, json_output: bool) -> None:
    """Fetch, check and write one file."""
    if os.path.lexists(out):
        raise ConfigurationError(f"{out} exists already and is not overwritten")
    encoded, found = trio.run(_export, access, Height(height))
    out.write_bytes(encoded)
    if json_output:
        print_document({**certificate_document(found), "file": str(out)})
    else:
        print_lines(str(out))
        say(_sentence(found))


async def _export(access: Access, height: Height) -> tuple[bytes, VerifiedCertificate]:
    async with client_of(access) as client:
        encoded = await client.certificate(height)
        return encoded, _judged(client, encoded, height)
    raise AssertionError("the client's context returns or raises")


def _judged(client: Client, encoded: bytes, height: Height) -> VerifiedCertificate:
    """Check a file by the seats that the client followed to its epoch."""
    epoch = epoch_of(height, client.genesis.consensus)
    return verify_certificate_file(
        encoded, client.trust.chain_id, client.trust.validators_of(epoch)
    )


def verify_certificate(
    access: Access, file: Path, keys: Sequence[str], *, json_output: bool
) -> None:
    """Check one file; what does not hold is an error of exit code 3."""
    judge = _judge(access, keys)
    try:
        with file.open("rb") as opened:
            encoded = opened.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise ConfigurationError(f"{file}: cannot read: {error.strerror}") from error
    if len(encoded) > FILE_BYTES_MAX:
        raise ConfigurationError(f"{file}: larger than a certificate can be")
    try:
        found = judge(encoded)
    except PeerError as error:
        raise ConfigurationError(f"{file}: does not hold: {error.detail}") from error
    if json_output:
        print_document(certificate_document(found))
    else:
        print_lines(_sentence(found))


def _judge(access: Access, keys: Sequence[str]) -> Callable[[bytes], VerifiedCertificate]:
    """Return the check: by the keys given, its epoch's; else by its links from the genesis on."""
    document = genesis_on_disk(access)
    expected = read_chain_id(access.chain_id)
    if keys and (expected is not None or document is not None):
        chain_id = expected if expected is not None else chain_id_of(document or b"")
        validators = tuple(_read_key(key) for key in keys)
        return lambda encoded: verify_certificate_file(encoded, chain_id, validators)
    if document is None:
        raise UsageError("give --genesis FILE, or --chain-id HEX and every --validator HEX")
    trust, _ = trust_in(document)
    return lambda encoded: verify_from_genesis(encoded, trust)


def _read_key(text: str) -> NodeId:
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != NODE_ID_BYTES:
        raise ConfigurationError(f"--validator {text!r} is not {2 * NODE_ID_BYTES} hex digits")
    return NodeId(key)


def certificate_document(found: VerifiedCertificate) -> Document:
    """Return what a certificate proves as JSON values."""
    return {
        "schema": "potp2p.certificate/1",
        "cycle": found.cycle,
        "height": found.height,
        "winner": encode_address(account_of(found.ranking[0])) if found.ranking else None,
        "ranking": [encode_address(account_of(node)) for node in found.ranking],
        "author": encode_address(account_of(found.author)),
        "rank": found.rank,
        "total_weight": found.total_weight,
        "signers": found.signers,
        "verified": True,
    }


def _sentence(found: VerifiedCertificate) -> str:
    winner = encode_address(account_of(found.ranking[0])) if found.ranking else "nobody"
    wrote = f"rank {found.rank}" if found.rank is not None else "the primary itself"
    return (
        f"valid: {winner} won height {found.height} of cycle {found.cycle}; "
        f"the block is by {wrote}; {found.signers} validators signed"
    )
