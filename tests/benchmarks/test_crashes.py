"""The crash campaign sees what it looks for, and a few kills of real validators do no harm."""

import json

import pytest

from cli.main import run
from potp2p.benchmarks.crashes import Told
from potp2p.processes.documents import Document

HARM = ("corrupt_opens", "double_signatures", "forks", "lost")


def said(node: str, height: int, digest: str, *, kind: str = "Prepare", at: int = 1) -> Document:
    place: Document = {"node": node, "height": height, "view": 0, "kind": kind}
    return {"stage": "said", "at": at, "digest": digest} | place


def stored(height: int, block: str, *ids: str) -> Document:
    return {"stage": "stored", "at": 1, "height": height, "hash": block, "ids": list(ids)}


def test_two_statements_in_one_place_are_seen() -> None:
    told = Told()
    for note in (said("aa", 1, "x"), said("aa", 1, "x"), said("bb", 1, "y"), said("aa", 2, "y")):
        told.take(note)
    told.take(said("aa", 1, "y", kind="Commit"))
    assert told.doubles == []

    told.take(said("aa", 1, "y"))
    assert told.doubles == [("aa", 1, 0, "Prepare")]


def test_two_blocks_of_one_height_are_seen() -> None:
    told = Told()
    for note in (stored(1, "x", "t1", "t2"), stored(1, "x", "t1"), stored(2, "y")):
        told.take(note)
    assert told.forks == []
    assert told.transactions == {"t1": 1, "t2": 1}

    told.take(stored(2, "z"))
    assert told.forks == [2]


def test_vote_counts_as_new_only_where_nothing_was_heard_before() -> None:
    told = Told()
    told.take(said("aa", 1, "x", at=5))
    told.first_new.pop("aa")
    told.take(said("aa", 1, "x", at=6))
    assert told.first_new == {}

    told.take(said("aa", 1, "x", kind="Commit", at=7))
    assert told.first_new == {"aa": 7}


@pytest.mark.long
@pytest.mark.parametrize("kills", [12])
def test_validators_that_are_killed_tell_one_story(
    kills: int, capfd: pytest.CaptureFixture[str]
) -> None:
    """`potp2p bench crashes --kills 500` is the same for longer."""
    outcome = run(["bench", "crashes", "--kills", str(kills), "--json"])
    document = json.loads(capfd.readouterr().out)

    assert {name: document[name] for name in HARM} == dict.fromkeys(HARM, 0), document
    assert document["kills"] == kills
    assert document["transactions_checked"] > 0
    assert outcome in {0, 1}, "a slow machine misses a target and does no harm"
