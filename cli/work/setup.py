"""Sets a node up: asks for what is missing, fetches the genesis document, writes three files."""

import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import trio

from cli.exits import UsageError
from cli.options import RoleChoice
from cli.output import is_person_there, print_lines, say
from cli.work.identity import Access, genesis_on_disk, obtain_genesis
from potp2p.client.genesis import chain_id_of
from potp2p.foundation.errors import ConfigurationError
from potp2p.protocol.crypto.identity import KeyPair
from potp2p.settings.configuration import (
    Configuration,
    load_configuration,
    render_configuration,
)
from potp2p.settings.keys import load_or_create_node_identity
from potp2p.settings.paths import NodePaths


@dataclass(frozen=True, slots=True)
class NodeChoices:
    """What the flags said about the node; None where nothing was said."""

    role: RoleChoice | None
    name: str | None
    payout: str | None
    listen: tuple[str, ...]
    devices: str | None
    no_input: bool


def set_up(access: Access, choices: NodeChoices) -> None:
    """Write the files of a new node and say what comes next."""
    paths = access.paths
    for path in (paths.configuration, paths.genesis):
        if os.path.lexists(path):
            raise ConfigurationError(f"{path} exists already; nothing was changed")
    access, choices = _complete(access, choices)
    assert choices.role is not None
    configuration = _configuration(access, choices)
    document = trio.run(obtain_genesis, access, tuple(configuration.network.bootstrap))
    try:
        paths.data.mkdir(parents=True, exist_ok=True, mode=0o700)
        secret = load_or_create_node_identity(paths.data)
        _write_new(paths.genesis, document)
        paths.configuration.parent.mkdir(parents=True, exist_ok=True)
        _write_new(paths.configuration, render_configuration(configuration).encode())
    except OSError as error:
        raise ConfigurationError(f"{error.filename}: {error.strerror}") from error
    _report(access, paths, chain_id_of(document).hex(), KeyPair.from_secret(secret).address)


def _complete(access: Access, choices: NodeChoices) -> tuple[Access, NodeChoices]:
    """Ask a person for what is missing; without one, name every missing flag."""
    missing = [] if choices.role is not None else ["--role"]
    if not access.bootstrap and access.genesis is None:
        missing.append("--bootstrap")
    if missing and not is_person_there(no_input=choices.no_input):
        raise UsageError(f"nobody is here to ask: give {' and '.join(missing)}")
    if choices.role is None:
        answer = _ask("What will this computer do? miner, validator or observer", "miner")
        if answer not in list(RoleChoice):
            raise UsageError(f"{answer!r} is not a role: miner, validator or observer")
        choices = replace(choices, role=RoleChoice(answer))
    if "--bootstrap" in missing:
        answer = _ask("Address of a bootstrap node (multiaddress)", "")
        access = replace(access, bootstrap=(answer,))
    return access, choices


def _ask(question: str, default: str) -> str:
    hint = f" [{default}]" if default else ""
    sys.stderr.write(f"{question}{hint}: ")
    sys.stderr.flush()
    return sys.stdin.readline().strip() or default


def _configuration(access: Access, choices: NodeChoices) -> Configuration:
    """Check every choice by the rules of the file that it goes into."""
    flags: dict[str, object] = {"node.role": str(choices.role)}
    if choices.name is not None:
        flags["node.name"] = choices.name
    if choices.payout is not None:
        flags["miner.payout_address"] = choices.payout
    if choices.listen:
        flags["network.listen"] = list(choices.listen)
    if choices.devices is not None:
        flags["miner.devices"] = [each.strip() for each in choices.devices.split(",")]
    if access.bootstrap:
        flags["network.bootstrap"] = list(access.bootstrap)
    genesis_on_disk(access)
    return load_configuration(access.paths.configuration, flags=flags)


def _write_new(path: Path, content: bytes) -> None:
    """Write a file that must not exist yet, durably."""
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _report(access: Access, paths: NodePaths, chain_id: str, address: str) -> None:
    say(f"config    {paths.configuration}")
    say(f"genesis   {paths.genesis}")
    say(f"identity  {paths.identity}   (back this up; only this node may use it)")
    say(f"chain id  {chain_id}")
    print_lines(address)
    folder = "" if access.datadir is None else f" --datadir {access.datadir}"
    say(f"Next: potp2p start{folder}")
