"""What a replay gives way to, and what gives way to nothing."""

import pytest

from potp2p.foundation.limits import REPLAY_YIELDS_MAX
from potp2p.foundation.types import Digest, Round
from potp2p.training.commands import (
    Aggregate,
    CheckPayload,
    Command,
    Evaluate,
    Inspect,
    Replay,
    Train,
)
from potp2p.workers.jobs import PRIORITIES, Job
from tests.training.orders import TASK, lease, rules

REPLAY = Replay(lease(), rules(), "model", "theta", "shard", "payload", Digest(bytes(32)))
TRAIN = Train(lease(), rules(), "model", "theta", "shard", "payload")
CHECK = CheckPayload(lease(), rules(), "theta", "payload")
AGGREGATE = Aggregate(
    rules(), TASK, Round(0), "model", "theta", ("payload",), "result", "evaluation"
)
EVALUATE = Evaluate(rules(), "model", "theta", "evaluation")
INSPECT = Inspect(rules(), "model", "theta", ("shard",), "evaluation", calibrate=True)


def job(command: Command) -> Job:
    return Job(command, None, PRIORITIES[type(command)])


@pytest.mark.parametrize("urgent", [TRAIN, AGGREGATE], ids=lambda each: type(each).__name__)
def test_a_replay_gives_way_to_training_and_aggregation(urgent: Command) -> None:
    replay = job(REPLAY)
    assert replay.give_way_to(job(urgent))
    assert replay.is_giving_way()
    assert not replay.give_way_to(job(urgent)), "it already does"
    assert replay.yields == 1


@pytest.mark.parametrize(
    "other", [REPLAY, CHECK, EVALUATE, INSPECT], ids=lambda each: type(each).__name__
)
def test_a_replay_is_not_begun_again_for_less(other: Command) -> None:
    replay = job(REPLAY)
    assert not replay.give_way_to(job(other))
    assert not replay.stopped.is_set()


@pytest.mark.parametrize(
    "command", [TRAIN, AGGREGATE, EVALUATE, INSPECT], ids=lambda each: type(each).__name__
)
def test_nothing_but_a_replay_gives_way(command: Command) -> None:
    busy = job(command)
    assert not busy.give_way_to(job(CHECK))
    assert not busy.stopped.is_set()


def test_a_replay_that_gave_way_often_enough_stays() -> None:
    replay = job(REPLAY)
    replay.yields = REPLAY_YIELDS_MAX
    assert not replay.give_way_to(job(TRAIN))


def test_what_nobody_waits_for_does_not_give_way_but_ends() -> None:
    replay = job(REPLAY)
    replay.abandon()
    assert replay.stopped.is_set()
    assert not replay.give_way_to(job(TRAIN))
    assert not replay.is_giving_way()
