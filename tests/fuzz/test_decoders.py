"""A short run over every decoder, every case that was ever found, and proof that faults show."""

import json
from pathlib import Path
from random import Random
from typing import cast

import pytest

from potp2p.foundation.errors import PeerError, RejectionReason
from potp2p.protocol.wire import schema
from potp2p.protocol.wire.consensus import Status
from tests.fuzz.engine import Tally, all_targets, check, run_executions, stream_of
from tests.fuzz.mutations import CBOR
from tests.fuzz.targets import Target
from tests.fuzz.wire_targets import encoded_value

EXECUTIONS = 60
SEED = 20_261_121
CORPUS = cast(
    "list[dict[str, object]]", json.loads((Path(__file__).parent / "corpus.json").read_text())
)


@pytest.fixture(scope="module")
def targets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Target]:
    found = all_targets(tmp_path_factory.mktemp("fuzz"))
    assert len({target.name for target in found}) == len(found), "names are told apart"
    return {target.name: target for target in found}


def test_no_decoder_breaks_a_promise_in_a_short_run(targets: dict[str, Target]) -> None:
    tallies = run_executions(list(targets.values()), SEED, EXECUTIONS)

    assert [each for tally in tallies.values() for each in tally.failures] == []
    assert all(tally.executions == EXECUTIONS for tally in tallies.values())


@pytest.mark.parametrize("case", CORPUS, ids=lambda case: f"{case['decoder']}: {case['found']}")
def test_what_was_found_before_stays_found(
    case: dict[str, object], targets: dict[str, Target]
) -> None:
    parts = cast("list[tuple[str, int]]", case["parts"])
    encoded = b"".join(bytes.fromhex(part) * times for part, times in parts)
    tally = Tally()
    check(targets[str(case["decoder"])], encoded, tally, weigh=True)

    assert tally.failures == []


@pytest.mark.long
def test_no_decoder_breaks_a_promise_in_a_long_run(targets: dict[str, Target]) -> None:
    tallies = run_executions(list(targets.values()), SEED + 1, 20 * EXECUTIONS)

    assert [each for tally in tallies.values() for each in tally.failures] == []


# Each promise, broken on purpose.


def faults_of(target: Target, executions: int = 400) -> set[str]:
    tally, stream = Tally(), stream_of(target, SEED)
    for _ in range(executions):
        stream.step(tally)
    return {failure.promise.split(":")[0] for failure in tally.failures}


def status_target(decode: object, encode: object = schema.encode) -> Target:
    return Target(
        "planted",
        decode,  # type: ignore[arg-type]
        (PeerError,),
        lambda random: encoded_value(Status, random),
        encode,  # type: ignore[arg-type]
        CBOR,
    )


def test_the_honest_decoder_shows_no_fault() -> None:
    assert faults_of(status_target(lambda encoded: schema.decode(Status, encoded))) == set()


def test_an_error_without_a_name_is_found() -> None:
    def decode(encoded: bytes) -> Status:
        if encoded[:1] != b"\x86":
            raise IndexError("planted")
        return schema.decode(Status, encoded)

    assert faults_of(status_target(decode)) == {"raised IndexError"}


def test_a_second_spelling_that_is_accepted_is_found() -> None:
    def decode(encoded: bytes) -> Status:
        # As if a boolean could be any odd number.
        return schema.decode(Status, encoded.replace(b"\xf4", b"\xf5"))

    assert faults_of(status_target(decode)) == {"what it decoded encodes to other bytes"}


def test_memory_beyond_the_promise_is_found() -> None:
    def decode(encoded: bytes) -> Status:
        waste = [bytes(1 << 20) for _ in encoded[:3]]
        assert waste or not encoded
        return schema.decode(Status, encoded)

    assert any("bytes of memory" in fault for fault in faults_of(status_target(decode)))


def test_a_value_that_changes_on_its_way_is_found() -> None:
    def encode(status: Status) -> bytes:
        return schema.encode(status)[:-1] + b"\x40"

    decode = status_target(lambda encoded: schema.decode(Status, encoded), encode)
    assert faults_of(decode) == {"what it decoded encodes to other bytes"}


def test_a_refusal_without_a_known_reason_is_found() -> None:
    def decode(encoded: bytes) -> Status:
        raise PeerError(cast("RejectionReason", "odd"), "planted")

    assert faults_of(status_target(decode)) == {"refused without a reason"}


def test_one_seed_gives_the_same_inputs_twice() -> None:
    def inputs(seed: int) -> list[bytes]:
        seen: list[bytes] = []

        def decode(encoded: bytes) -> Status:
            seen.append(encoded)
            return schema.decode(Status, encoded)

        stream, tally = stream_of(status_target(decode), seed), Tally()
        for _ in range(100):
            stream.step(tally)
        return seen

    assert inputs(1) == inputs(1)
    assert inputs(1) != inputs(2)
    assert Random(1).random() == Random(1).random()
