"""
Stand-ins for what benchmarks start: `python -m tests.doubles.bench_programs potp2p|central ...`.

The variable FAKE names faults, separated by commas: `other-weights` with 2 miners, `far` losses, a
`dead` observer, a `dull` central process, a `failing` network, a `late` claim.
"""

import os
import signal
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import typer.main
from typer.core import TyperGroup

from cli.main import application
from potp2p.foundation.types import Amount
from potp2p.protocol.scheduling.task_text import TaskText, render
from potp2p.simulation.packages import make_rules
from tests.doubles.devnet_programs import FAULTS, option, run_node, say

HELD_BYTES = 30_000_000
SEEN = os.environ.get("SEEN", "")
TASK = "ab" * 32
HOLDER = "kept = b'x' * int(__import__('sys').argv[1]); print(1, flush=True); input()"


def verify(arguments: list[str]) -> None:
    """Raise when the real command would not understand the flags."""
    group = typer.main.get_command(application)
    assert isinstance(group, TyperGroup)
    context = group.make_context("potp2p", list(arguments))
    name, command, rest = group.resolve_command(context, list(arguments))
    assert command is not None
    command.make_context(name, rest, parent=context)


def idle_network(arguments: list[str]) -> int:
    assert "--json" in arguments, "else it writes lines for a person"
    assert option(arguments, "--ui") == "none", "else it would look at the nodes"
    assert option(arguments, "--block-milliseconds") == "2000"
    names = [f"validator-{each + 1}" for each in range(int(option(arguments, "--validators")))]
    nodes = [{"name": name, "role": "validator", "pid": os.getpid()} for name in names]
    say(
        {
            "bootstrap": {"address": "/ip4/127.0.0.1/tcp/9", "pid": os.getpid()},
            "genesis": "genesis.cbor",
            "nodes": nodes,
        }
    )
    signal.pause()
    return 0


def wait_until_seen() -> None:
    """Stay as it is until the file that the variable SEEN names is there."""
    while SEEN and not Path(SEEN).exists():
        signal.sigtimedwait([], 0.02)


def leave_package(network: Path) -> None:
    """Leave what a run of the network leaves: a package, and nodes with blobs."""
    (network / "package").mkdir(parents=True, exist_ok=True)
    text = render(TaskText("images", Amount(1), make_rules(shards=100, shards_per_round=10)))
    (network / "package" / "task.toml").write_text(text)


def leave_logs(network: Path) -> None:
    """Leave what nodes write: 16 rounds of 2 s, every other one with a replay and 3 s long."""
    (network / "logs").mkdir(parents=True, exist_ok=True)
    moment = datetime(2026, 1, 1).astimezone()
    validator, miner = [], []
    for round_ in range(16):
        is_audited = round_ % 2 == 0
        moment += timedelta(seconds=3 if is_audited else 2)
        stamp = moment.strftime("[%Y-%m-%d %H:%M:%S.%f")[:-3] + "]"
        if is_audited:
            validator.append(
                f"{stamp} verify   replayed abababab round 1 shard 2: distance 0, 800 ms"
            )
            validator.append(f"{stamp} worker   worker cpu: a replay gives way to aggregate")
        validator.append(f"{stamp} task     abababab round {round_} done, loss 2.5")
        miner += [
            f"{stamp} miner    trained abababab round {round_} shard {shard} in 900 ms"
            for shard in range(10)
        ]
        if "late" in FAULTS and round_ == 9:
            miner.append(f"{stamp} miner    claim abababab round 9 shard 3 came too late")
    (network / "logs" / "validator-1.out").write_text("\n".join(validator))
    (network / "logs" / "miner-1.out").write_text("\n".join(miner))


def training_network(arguments: list[str]) -> int:
    if "failing" in FAULTS:
        sys.stderr.write("potp2p: no block within 120 s\n")
        return 1
    if "images-resnet50" in arguments:
        sys.stderr.write("[ 9.00 s] round 1/2  evaluation loss 2.0\n")
        blobs = Path(option(arguments, "--datadir")) / "miner-1" / "blobs"
        blobs.mkdir(parents=True)
        (blobs / "payload").write_bytes(b"x" * 100_000)
    network = Path(option(arguments, "--datadir"))
    if option(arguments, "--example") == "text":
        leave_logs(network)
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(HELD_BYTES), "start", "--datadir", network / "miner-1"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        if "gradient" not in arguments:
            wait_until_seen()
        holder.kill()
    if option(arguments, "--example") != "digits":
        leave_package(network)
    is_other = "other-weights" in FAULTS and option(arguments, "--miners") == "2"
    say(
        {
            "task": TASK,
            "checkpoint": "other" if is_other else "c0ffee",
            "roots_agree": "apart" not in FAULTS,
            "evaluation_loss": [2.0, 0.52 if "far" in FAULTS else 0.501],
            "rounds": 2,
            "weights_sha256": "5a",
            "test_accuracy": 0.97,
            "seconds": 1.0,
        }
    )
    return 0


def set_up(arguments: list[str]) -> int:
    folder = Path(option(arguments, "--datadir"))
    folder.mkdir()
    for name in ("config.toml", "genesis.cbor", "identity.key"):
        (folder / name).touch()
    return 0


def central(arguments: list[str]) -> int:
    assert option(arguments, "--task") == TASK
    if "dull" in FAULTS:
        return 0
    say({"round": 0, "evaluation_loss": 2.0})
    say({"round": 1, "evaluation_loss": 0.5})
    say({"sha256": "5b", "checkpoint": "plain" if "--plain" in arguments else "c0ffee"})
    return 0


def main(arguments: list[str]) -> int:
    program, *rest = arguments
    if program == "central":
        return central(rest)
    verify(rest)
    match rest[0]:
        case "devnet":
            return idle_network(rest) if "--idle" in rest else training_network(rest)
        case "init":
            return set_up(rest)
        case "start":
            if "dead" in FAULTS:
                sys.stderr.write("potp2p: the disk is on fire\n")
                return 1
            return run_node(rest[1:])
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
