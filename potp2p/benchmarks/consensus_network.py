"""The network that consensus is measured on: real validators on this machine, nothing else."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import trio

from potp2p.foundation.errors import OperatingError, UnreachableError
from potp2p.foundation.types import POT, Amount
from potp2p.processes.documents import first_line, parse_document
from potp2p.processes.fleet import Child, Fleet
from potp2p.processes.programs import Programs
from potp2p.protocol.crypto.hashing import tagged_hash
from potp2p.protocol.crypto.identity import KeyPair
from potp2p.protocol.ledger.genesis import DevnetAccounts, devnet_genesis
from potp2p.protocol.wire.genesis import GenesisAccount
from potp2p.protocol.wire.schema import encode
from potp2p.settings.configuration import (
    Configuration,
    NetworkSection,
    NodeSection,
    RoleName,
    render_configuration,
)
from potp2p.settings.keys import create_identity

KEY_DOMAIN: Final = "potp2p/bench-key/1"
LOOPBACK: Final = "/ip4/127.0.0.1/tcp/0"
PAYERS: Final = 2_000
"""Accounts that pay: each has few statements waiting at a time."""
PAYER_BALANCE: Final = Amount(1_000 * POT)
START_SECONDS: Final = 120.0
LOOK_SECONDS: Final = 0.05


@dataclass(slots=True)
class Validator:
    """One seat and its process."""

    seat: int
    keys: KeyPair
    folder: Path
    child: Child | None = None
    outputs: list[Path] = field(default_factory=list[Path])
    """What each of its processes noted, oldest first."""

    @property
    def name(self) -> str:
        """Return how its files are named."""
        return f"validator-{self.seat + 1}"


@dataclass(slots=True)
class BenchNetwork:
    """Folders, processes and the way in."""

    folder: Path
    validators: tuple[Validator, ...]
    programs: Programs
    fleet: Fleet
    transactions_max: int
    line: tuple[int, int]
    """Latency in milliseconds and bandwidth in megabits that its adapters emulate; 0: none."""
    genesis: bytes = b""
    address: str = ""
    block_milliseconds: int = 0
    """The interval of the chain."""

    @property
    def running(self) -> tuple[Validator, ...]:
        """Return the validators that have a process."""
        return tuple(each for each in self.validators if each.child is not None)

    def start_validator(self, validator: Validator) -> None:
        """Start a validator's next process."""
        name = f"{validator.name}.{len(validator.outputs)}"
        numbers = (self.transactions_max, *self.line)
        command = (*self.programs.validator, str(validator.folder), *map(str, numbers))
        validator.child = self.fleet.start(name, command)
        validator.outputs.append(validator.child.output)

    async def kill(self, validator: Validator) -> None:
        """End a validator as a power cut would."""
        assert validator.child is not None
        child, validator.child = validator.child, None
        child.process.kill()
        await child.ended()
        self.fleet.forget(child)


def bench_key(name: str) -> KeyPair:
    """Return a key of the measured network; they guard nothing."""
    return KeyPair.from_secret(bytes(tagged_hash(KEY_DOMAIN, name.encode())))


def payer(index: int) -> KeyPair:
    """Return the key of one paying account."""
    return bench_key(f"payer-{index}")


def bench_genesis(validators: tuple[Validator, ...], block_milliseconds: int = 0) -> bytes:
    """Return the document of the devnet with an interval of its own and many payers."""
    client = bench_key("client").node_id
    genesis = devnet_genesis(
        [each.keys for each in validators],
        DevnetAccounts(client, PAYER_BALANCE, bench_key("sponsor").node_id, Amount(0)),
        time_milliseconds=0,
        network="bench",
    )
    payers = (
        GenesisAccount(payer(index).account, PAYER_BALANCE, Amount(0)) for index in range(PAYERS)
    )
    accounts = sorted((*genesis.accounts, *payers), key=lambda each: each.account)
    consensus = replace(genesis.consensus, block_interval=block_milliseconds, author_window=0)
    # Minutes of blocks fuller than half would measure how dear they become.
    money = replace(genesis.money, base_fee_floor=Amount(0))
    return encode(replace(genesis, accounts=tuple(accounts), consensus=consensus, money=money))


async def start_network(network: BenchNetwork) -> None:
    """Write every folder, start the bootstrap node and the validators, wait for first blocks."""
    network.genesis = bench_genesis(network.validators, network.block_milliseconds)
    genesis = network.folder / "genesis.cbor"
    genesis.write_bytes(network.genesis)
    command = (*network.programs.bootstrap, "--listen", LOOPBACK, "--json")
    command += ("--data-dir", str(network.folder / "bootstrap"), "--genesis", str(genesis))
    bootstrap = network.fleet.start("bootstrap", command)
    told = parse_document((await first_line(bootstrap, START_SECONDS)).encode(), "bootstrap")
    addresses = told.get("listen")
    if not isinstance(addresses, list) or not addresses:
        raise OperatingError("the bootstrap node told no address")
    network.address = str(addresses[0])
    for validator in network.validators:
        _set_up(network, validator)
        network.start_validator(validator)
    with trio.move_on_after(START_SECONDS):
        for validator in network.validators:
            await noted(validator)
        return
    raise UnreachableError(f"no block within {START_SECONDS:.0f} s")


async def noted(validator: Validator) -> None:
    """Return once a validator's process has noted something."""
    child = validator.child
    assert child is not None
    while not child.output.stat().st_size:
        if child.returncode is not None:
            raise OperatingError(f"{child.name} ended: {child.last_words()}")
        await trio.sleep(LOOK_SECONDS)


def _set_up(network: BenchNetwork, validator: Validator) -> None:
    validator.folder.mkdir(mode=0o700)
    (validator.folder / "genesis.cbor").write_bytes(network.genesis)
    create_identity(validator.folder, validator.keys.secret)
    configuration = Configuration(
        node=NodeSection(name=validator.name, role=RoleName.VALIDATOR),
        network=NetworkSection(listen=(LOOPBACK,), bootstrap=(network.address,)),
    )
    (validator.folder / "config.toml").write_text(render_configuration(configuration))
