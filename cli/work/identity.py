"""Where a command finds its chain, its way in and its key."""

import os
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from cli.exits import UsageError
from cli.output import say
from potp2p.client.genesis import chain_id_of, fetch_genesis
from potp2p.client.session import Client, connect
from potp2p.foundation.errors import ConfigurationError, PeerError
from potp2p.foundation.types import AccountId, ChainId, Digest
from potp2p.protocol.crypto.identity import KeyPair, decode_address
from potp2p.settings.configuration import load_configuration
from potp2p.settings.keys import load_key
from potp2p.settings.paths import NodePaths, node_paths

WALLET_FILE = "wallet.key"
GENESIS_BYTES_MAX = 1 << 20
CHAIN_ID_HEX_DIGITS = 64


@dataclass(frozen=True, slots=True)
class Access:
    """What the flags said about the network and the account."""

    datadir: Path | None
    bootstrap: tuple[str, ...]
    genesis: Path | None
    chain_id: str | None
    key: Path | None = None

    @property
    def paths(self) -> NodePaths:
        """Return the files of the data folder."""
        return node_paths(self.datadir)

    @property
    def key_path(self) -> Path:
        """Return the key file of the account that acts."""
        return self.key if self.key is not None else self.paths.data / WALLET_FILE


def access_of(
    datadir: Path | None,
    bootstrap: list[str] | None,
    genesis: Path | None,
    chain_id: str | None,
    key: Path | None = None,
) -> Access:
    """Gather the flags as they were given."""
    return Access(datadir, tuple(bootstrap or ()), genesis, chain_id, key)


def read_address(text: str) -> AccountId:
    """Read an address that somebody typed."""
    try:
        return decode_address(text)
    except PeerError as error:
        raise ConfigurationError(f"address {text!r}: {error.detail}") from error


def read_chain_id(text: str | None) -> ChainId | None:
    """Read a chain id that somebody typed."""
    if text is None:
        return None
    try:
        chain_id = bytes.fromhex(text)
    except ValueError:
        chain_id = b""
    if len(text) != CHAIN_ID_HEX_DIGITS or len(chain_id) != CHAIN_ID_HEX_DIGITS // 2:
        raise ConfigurationError(f"--chain-id {text!r} is not {CHAIN_ID_HEX_DIGITS} hex digits")
    return ChainId(Digest(chain_id))


def wallet_key(access: Access) -> bytes:
    """Return the secret that signs; the message says how to make one."""
    if not access.key_path.exists():
        raise ConfigurationError(f"{access.key_path}: no key here; potp2p wallet new makes one")
    return load_key(access.key_path)


def node_account(access: Access, instead: str) -> AccountId:
    """Return the account of the node that lives in the data folder."""
    if not access.paths.identity.exists():
        raise ConfigurationError(f"{access.paths.identity}: no node lives here; give {instead}")
    return KeyPair.from_secret(load_key(access.paths.identity)).account


def bootstrap_of(access: Access) -> tuple[str, ...]:
    """Return the addresses to dial first: flags, else the configuration."""
    flags: Mapping[str, object] = (
        {"network.bootstrap": list(access.bootstrap)} if access.bootstrap else {}
    )
    configuration = load_configuration(
        access.paths.configuration, environment=os.environ, flags=flags
    )
    if not configuration.network.bootstrap:
        raise UsageError(
            "no way into a network: give --bootstrap MULTIADDR, or --datadir of a node "
            "that potp2p init has set up"
        )
    return tuple(configuration.network.bootstrap)


def genesis_on_disk(access: Access) -> bytes | None:
    """Return the genesis document of the flag or of the data folder, None without either."""
    path = access.genesis or access.paths.genesis
    try:
        with path.open("rb") as file:
            document = file.read(GENESIS_BYTES_MAX + 1)
    except FileNotFoundError:
        if access.genesis is not None:
            raise ConfigurationError(f"{path}: no such genesis file") from None
        return None
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot read: {error.strerror}") from error
    if len(document) > GENESIS_BYTES_MAX:
        raise ConfigurationError(f"{path}: larger than a genesis document can be")
    try:
        found = chain_id_of(document)
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}: {error}") from error
    expected = read_chain_id(access.chain_id)
    if expected is not None and found != expected:
        raise ConfigurationError(f"{path}: chain id is {found.hex()}, not {expected.hex()}")
    return document


async def obtain_genesis(access: Access, bootstrap: tuple[str, ...]) -> bytes:
    """Return the genesis document from disk, else from the network."""
    document = genesis_on_disk(access)
    if document is not None:
        return document
    document = await fetch_genesis(bootstrap, read_chain_id(access.chain_id))
    say(f"chain id {chain_id_of(document).hex()} (as {bootstrap[0]} says)")
    return document


@asynccontextmanager
async def client_of(
    access: Access, secret: bytes | None = None, *, apart: bool = False
) -> AsyncIterator[Client]:
    """
    Join the network; without a secret as nobody in particular.

    Apart: under a peer's key of its own, beside a node that may run under the secret's.
    """
    bootstrap = bootstrap_of(access)
    document = await obtain_genesis(access, bootstrap)
    folder = access.paths.data / "client"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = secrets.token_bytes(32)
    peer = fresh if apart else None
    async with connect(document, secret or fresh, bootstrap, folder, peer_secret=peer) as client:
        yield client
