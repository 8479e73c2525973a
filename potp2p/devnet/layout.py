"""Keys, genesis document and folders of a local network, written before anything starts."""

import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from potp2p.devnet.plan import Plan
from potp2p.protocol.crypto.hashing import tagged_hash
from potp2p.protocol.crypto.identity import KeyPair, is_secret
from potp2p.settings.configuration import (
    Configuration,
    MinerSection,
    NetworkSection,
    NodeSection,
    RoleName,
    render_configuration,
)
from potp2p.settings.keys import create_identity, create_key

SEED_DOMAIN: Final = "potp2p/devnet-key/1"
LOOPBACK: Final = "/ip4/127.0.0.1/tcp/0"
"""Port 0: the kernel picks a free one, and what was picked is printed."""
CLIENT: Final = "client"
SPONSOR: Final = "sponsor"
BOOTSTRAP: Final = "bootstrap"


@dataclass(frozen=True, slots=True)
class Member:
    """One node of the network."""

    name: str
    role: RoleName
    keys: KeyPair
    folder: Path

    @property
    def status_socket(self) -> Path:
        """Return where it tells its status."""
        return self.folder / "status.sock"


@dataclass(frozen=True, slots=True)
class Layout:
    """Everything that has a key."""

    folder: Path
    members: tuple[Member, ...]
    """Validators in seat order, then miners."""
    client: Member
    sponsor: KeyPair

    @property
    def validators(self) -> tuple[Member, ...]:
        """Return the validators in seat order."""
        return tuple(each for each in self.members if each.role is RoleName.VALIDATOR)

    @property
    def miners(self) -> tuple[Member, ...]:
        """Return the miners that are started."""
        return tuple(each for each in self.members if each.role is RoleName.MINER)

    @property
    def logs(self) -> Path:
        """Return the folder of every child's output."""
        return self.folder / "logs"

    @property
    def genesis(self) -> Path:
        """Return the genesis document."""
        return self.folder / "genesis.cbor"


def lay_out(plan: Plan) -> Layout:
    """Draw the keys, from the seed when there is one."""

    def member(name: str, role: RoleName) -> Member:
        return Member(name, role, _keys(plan.seed, name), plan.folder / name)

    validators = [
        member(f"validator-{index + 1}", RoleName.VALIDATOR) for index in range(plan.validators)
    ]
    miners = [member(f"miner-{index + 1}", RoleName.MINER) for index in range(plan.miners)]
    return Layout(
        folder=plan.folder,
        members=(*validators, *miners),
        client=member(CLIENT, RoleName.OBSERVER),
        sponsor=_keys(plan.seed, SPONSOR),
    )


def write_folders(layout: Layout, genesis: bytes) -> None:
    """Write the genesis document and each node's key; addresses come with `write_configuration`."""
    layout.logs.mkdir(parents=True)
    layout.genesis.write_bytes(genesis)
    for member in (*layout.members, layout.client):
        member.folder.mkdir(mode=0o700)
        (member.folder / "genesis.cbor").write_bytes(genesis)
        if member is layout.client:
            create_key(member.folder / "wallet.key", member.keys.secret)
        else:
            create_identity(member.folder, member.keys.secret)


def write_configuration(member: Member, bootstrap: str) -> None:
    """Write what `potp2p start` or a client command reads."""
    configuration = Configuration(
        node=NodeSection(name=member.name, role=member.role),
        network=NetworkSection(listen=(LOOPBACK,), bootstrap=(bootstrap,)),
        miner=MinerSection(devices=("cpu",)),
    )
    (member.folder / "config.toml").write_text(render_configuration(configuration))


def _keys(seed: int | None, name: str) -> KeyPair:
    if seed is None:
        secret = secrets.token_bytes(32)
    else:
        secret = bytes(tagged_hash(SEED_DOMAIN, seed.to_bytes(8, "big"), name.encode()))
    assert is_secret(secret), "one in 2^128"
    return KeyPair.from_secret(secret)
