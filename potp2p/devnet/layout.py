"""Keys, genesis document and folders of a local network, written before anything starts."""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass, replace
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
from potp2p.simulation.adversaries.kinds import Kind, Place
from potp2p.simulation.adversaries.roster import parts_of

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
    kind: Kind | None = None
    """The adversary that it is; None: it is honest."""
    league: int = 0
    """Which of those of its kind it belongs to: members tell each other."""

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
    purses: tuple[Member, ...] = ()
    """Clients that deal with themselves, one for each miner that does."""

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

    def member(name: str, role: RoleName, kind: Kind | None = None, league: int = 0) -> Member:
        return Member(name, role, _keys(plan.seed, name), plan.folder / name, kind, league)

    validators = [
        member(f"validator-{index + 1}", RoleName.VALIDATOR) for index in range(plan.validators)
    ]
    miners = [member(f"miner-{index + 1}", RoleName.MINER) for index in range(plan.miners)]
    purses: list[Member] = []
    liars = len(validators)
    for kind, league in _leagues(plan):
        if Place.SEAT in parts_of(kind):
            # The last seats lie: their keys are the same as those of an honest network.
            liars -= 1
            validators[liars] = replace(validators[liars], kind=kind, league=league)
        if Place.MINER in parts_of(kind):
            miners.append(member(f"{kind}-{league}", RoleName.MINER, kind, league))
        if kind is Kind.SELF_DEALING_CLIENT:
            purses.append(member(f"purse-{league}", RoleName.OBSERVER))
    return Layout(
        folder=plan.folder,
        members=(*validators, *miners),
        client=member(CLIENT, RoleName.OBSERVER),
        sponsor=_keys(plan.seed, SPONSOR),
        purses=tuple(purses),
    )


def _leagues(plan: Plan) -> Iterator[tuple[Kind, int]]:
    for kind, count in plan.adversaries:
        for index in range(count):
            yield kind, index + 1


def write_folders(layout: Layout, genesis: bytes) -> None:
    """Write the genesis document and each node's key; addresses come with `write_configuration`."""
    layout.logs.mkdir(parents=True)
    layout.genesis.write_bytes(genesis)
    clients = (layout.client, *layout.purses)
    for member in (*layout.members, *clients):
        member.folder.mkdir(mode=0o700)
        (member.folder / "genesis.cbor").write_bytes(genesis)
        if member in clients:
            create_key(member.folder / "wallet.key", member.keys.secret)
        else:
            create_identity(member.folder, member.keys.secret)


def write_configuration(member: Member, bootstrap: str, min_pay: str = "0") -> None:
    """Write what `potp2p start` or a client command reads."""
    configuration = Configuration(
        node=NodeSection(name=member.name, role=member.role),
        network=NetworkSection(listen=(LOOPBACK,), bootstrap=(bootstrap,)),
        miner=MinerSection(devices=("cpu",), min_pay=min_pay),
    )
    (member.folder / "config.toml").write_text(render_configuration(configuration))


def _keys(seed: int | None, name: str) -> KeyPair:
    if seed is None:
        secret = secrets.token_bytes(32)
    else:
        secret = bytes(tagged_hash(SEED_DOMAIN, seed.to_bytes(8, "big"), name.encode()))
    assert is_secret(secret), "one in 2^128"
    return KeyPair.from_secret(secret)
