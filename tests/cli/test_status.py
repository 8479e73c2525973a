"""`potp2p status` against a socket that answers as a node does."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from cli.main import run
from potp2p.observability.representation import encode_status
from potp2p.observability.status import OutcomeLine
from tests.doubles.status import miner_status, starting_status


@contextmanager
def answering(path: Path, document: bytes) -> Iterator[None]:
    """Answer one connection."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()

        def answer() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.sendall(document)

        thread = threading.Thread(target=answer)
        thread.start()
        yield
        thread.join()


@pytest.fixture
def ask(tmp_path: Path) -> Callable[[bytes, list[str]], int]:
    def ask(document: bytes, flags: list[str]) -> int:
        with answering(tmp_path / "status.sock", document):
            return run(["status", "--datadir", str(tmp_path), *flags])

    return ask


def test_json_is_the_document_of_the_node(
    ask: Callable[[bytes, list[str]], int], capsys: pytest.CaptureFixture[str]
) -> None:
    document = encode_status(miner_status())

    assert ask(document, ["--json"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(document)


def test_words_say_state_and_reason(
    ask: Callable[[bytes, list[str]], int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask(encode_status(starting_status()), []) == 0

    told = capsys.readouterr().out.splitlines()
    assert told[:4] == [
        "node     rig-lab  miner  pid 48211  up 2d 04:11",
        "state    starting",
        "         no_peers: no peer answered yet",
        "chain    height 0  of --  last block -- s ago",
    ]


def test_words_say_what_became_of_contributions_and_of_the_bond(
    ask: Callable[[bytes, list[str]], int], capsys: pytest.CaptureFixture[str]
) -> None:
    status = miner_status()
    assert status.miner is not None
    paid = OutcomeLine("7f" * 32, 3, 5, "paid", "paid 1 POT at height 512", 512)
    slashed = OutcomeLine("7f" * 32, 4, 5, "slashed", "slashed 15 POT and banned: why", None)
    miner = replace(
        status.miner,
        bond=5_000_000_000,
        bond_wanted=20_000_000_000,
        banned_until=50_000,
        outcomes=(paid,) * 9,
        under_audit=(slashed,),
    )
    assert ask(encode_status(replace(status, miner=miner, auditing=2)), []) == 0

    told = capsys.readouterr().out.splitlines()
    assert "bond     5 of 20 POT  banned until height 50000" in told
    assert f"audited  {'7f' * 4}:4:5  slashed 15 POT and banned: why" in told
    assert told.count(f"last     {'7f' * 4}:3:5  paid 1 POT at height 512") == 5
    assert "audits   2 replays are asked of this node" in told


def test_ready_prints_nothing_and_answers_by_code(
    ask: Callable[[bytes, list[str]], int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask(encode_status(miner_status()), ["--ready"]) == 0
    assert capsys.readouterr() == ("", "")


def test_node_without_peers_is_not_ready(ask: Callable[[bytes, list[str]], int]) -> None:
    assert ask(encode_status(starting_status()), ["--ready"]) == 1


@pytest.mark.parametrize("answer", [b"garbage\n", b'{"schema":"potp2p.status/2"}\n'])
def test_answer_that_is_no_status_is_one_line(
    answer: bytes, ask: Callable[[bytes, list[str]], int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask(answer, []) == 1

    told = capsys.readouterr()
    assert (told.out, told.err.count("\n")) == ("", 1)
