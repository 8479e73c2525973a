"""
A package on the client's disk: prepared by a child process that knows torch, read here without it.

The folder holds `task.toml`, `config.json`, `initial.safetensors`, `evaluation.safetensors` and
`shards/NNNN.safetensors`; reading adds `rules.cbor`, the exact rules that go on chain.
"""

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import trio

from potp2p.foundation.errors import ConfigurationError
from potp2p.protocol.wire.manifests import RULES_FILE, TASK_FILE, package_paths
from potp2p.protocol.wire.schema import encode
from potp2p.protocol.wire.tasks import TaskRules
from potp2p.settings.task_file import read_rules

PREPARE_MODULE = "potp2p.training.prepare"


@dataclass(frozen=True, slots=True)
class Package:
    """A checked package folder."""

    folder: Path
    rules: TaskRules
    bytes: int
    """Size of all its files."""


async def prepare(arguments: Sequence[str], out: Path) -> Package:
    """Build a package in a child process; its last line of complaint becomes the error."""
    command = [sys.executable, "-m", PREPARE_MODULE, *arguments, "--out", str(out)]
    run = partial(trio.run_process, command, capture_stdout=True, capture_stderr=True, check=False)
    completed: subprocess.CompletedProcess[bytes] = await run()
    if completed.returncode != 0:
        lines = completed.stderr.decode(errors="replace").strip().splitlines()
        raise ConfigurationError(lines[-1] if lines else "the package could not be prepared")
    return load_package(out)


def load_package(folder: Path) -> Package:
    """Read a package folder; ConfigurationError says in one line what is wrong with it."""
    if not (folder / TASK_FILE).is_file():
        raise ConfigurationError(f"{folder}: no {TASK_FILE} here; see potp2p task prepare --help")
    rules = read_rules(folder / TASK_FILE)
    (folder / RULES_FILE).write_bytes(encode(rules))
    size = 0
    for path in package_paths(rules.rounds.shards):
        if not (folder / path).is_file():
            raise ConfigurationError(f"{folder}: {path} is missing from the package")
        size += (folder / path).stat().st_size
    return Package(folder, rules, size)
