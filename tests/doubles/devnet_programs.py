"""
Stand-ins for the commands of a local network: they print and answer what real ones would.

`python -m tests.doubles.devnet_programs PROGRAM ARGUMENTS`, where PROGRAM is potp2p, bootstrap,
evaluate, cheat or cheating-client. The variable FAKE names faults, separated by commas: `deaf`
nodes ignore SIGTERM, `stuck` tasks never end, `NAME-dies` ends one node with a complaint.
"""

import json
import os
import signal
import socket
import sys
import time
from pathlib import Path

from potp2p.observability.representation import status_document
from tests.doubles.status import TASK, miner_status

FAULTS = frozenset(os.environ.get("FAKE", "").split(","))
BLOCK_SECONDS = 0.05


def say(document: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()


def option(arguments: list[str], name: str) -> str:
    return arguments[arguments.index(name) + 1]


def status_at(height: int, name: str) -> bytes:
    document = status_document(miner_status())
    document["sync"] = {"height": height, "target_height": height, "synced": True}
    document["chain"] = {
        "state_root": f"{height:064x}",
        "recent_roots": {str(each): f"{each:064x}" for each in range(max(1, height - 20), height)},
    }
    document["node"] = {"name": name}
    return json.dumps(document).encode()


def run_node(arguments: list[str]) -> int:
    folder = Path(option(arguments, "--datadir"))
    for name in ("config.toml", "genesis.cbor", "identity.key"):
        assert (folder / name).is_file(), name
    if "deaf" in FAULTS:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if f"{folder.name}-dies" in FAULTS:
        sys.stderr.write("potp2p: the disk is on fire\n")
        return 1
    started = time.monotonic()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(folder / "status.sock"))
        listening.listen()
        while True:
            connection, _ = listening.accept()
            height = 1 + int((time.monotonic() - started) / BLOCK_SECONDS)
            with connection:
                connection.sendall(status_at(height, folder.name))


def watch() -> int:
    for round_ in range(3):
        progress: dict[str, object] = {"task": TASK, "status": "running", "height": 10 + round_}
        say({**progress, "round": round_, "losses": [2.0, 1.0, 0.5][:round_], "escrow": "9"})
        time.sleep(0.1)
    while "stuck" in FAULTS:
        time.sleep(0.1)
    say({"task": TASK, "status": "finished", "round": 3, "losses": [2.0, 1.0, 0.5], "escrow": "0"})
    return 0


def client(arguments: list[str]) -> int:
    match arguments[:2]:
        case ["task", "prepare"]:
            Path(option(arguments, "--out")).mkdir()
            say({"architecture": "vit", "parameters": 9, "shards": 2, "rounds": 3})
        case ["task", "submit"]:
            say({"task": TASK, "status": "running"})
        case ["task", "watch"]:
            return watch()
        case ["task", "fetch"]:
            out = Path(option(arguments, "--out"))
            out.mkdir(parents=True, exist_ok=True)
            (out / "model.safetensors").write_bytes(b"weights")
            say({"folder": str(out), "checkpoint": "c0ffee", "round": 3, "loss": 0.5})
        case ["chain", "money"]:
            say({"expected": "10", "actual": "10", "unsettled": [], "gains": {"pot1late": "1.5"}})
        case ["certificate", "list"]:
            row = {"cycle": 1, "height": 20, "winner": "pot1late", "verified": True}
            say({"certificates": [row]})
        case _:
            sys.stderr.write(f"potp2p: unknown {arguments}\n")
            return 2
    return 0


def main(arguments: list[str]) -> int:
    program, *rest = arguments
    if program == "bootstrap":
        say(
            {
                "listen": [
                    "/ip4/127.0.0.1/tcp/9/p2p/16Uiu2HAmNwsudEEsfQQkFdMkihj8ALeUmnSYhNQWcUk6UrsmW3mx"
                ]
            }
        )
        signal.pause()
    if program == "evaluate":
        say({"accuracy": 0.97, "loss": 0.5})
        return 0
    if program == "cheat":
        _kind, _place, folder, _league = rest
        return run_node(["--datadir", folder])
    if program == "cheating-client":
        say({"task": TASK})
        return 0
    return run_node(rest[1:]) if rest[0] == "start" else client(rest)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
