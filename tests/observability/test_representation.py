"""The status document."""

import json
import math
from dataclasses import replace

import pytest

from potp2p.foundation.errors import OperatingError
from potp2p.observability.representation import (
    decode_document,
    encode_status,
    status_document,
    timestamp,
)
from tests.doubles.status import miner_status, starting_status, validator_status


def test_document_survives_json_unchanged() -> None:
    for status in (miner_status(), validator_status(), starting_status()):
        assert decode_document(encode_status(status)) == status_document(status)


def test_unknown_is_null_and_never_zero() -> None:
    document = status_document(starting_status())

    assert document["sync"] == {
        "height": 0,
        "target_height": None,
        "synced": False,
        "last_block_age_s": None,
    }
    assert document["validator"] is None
    assert document["state"] == {
        "code": "starting",
        "since": "2026-11-21T13:58:58.482Z",
        "blocked_by": [{"code": "no_peers", "detail": "no peer answered yet"}],
        "message": "check the bootstrap address in config.toml",
    }


def test_amounts_are_decimal_strings() -> None:
    document = status_document(miner_status())

    assert document["wallet"] == {"balance": "128.402", "currency": "POT"}


def test_loss_that_is_not_finite_is_written_as_unknown() -> None:
    status = miner_status()
    assert status.miner is not None
    lease = replace(status.miner.leases[0], loss=math.nan)
    status = replace(status, miner=replace(status.miner, leases=(lease,)))

    def refuse(name: str) -> object:
        raise AssertionError(f"{name} is not JSON")

    json.loads(encode_status(status), parse_constant=refuse)


@pytest.mark.parametrize("answer", [b"", b"{", b"[]", b"{}", b'{"schema":"potp2p.status/9"}'])
def test_answer_that_is_no_status_is_refused(answer: bytes) -> None:
    with pytest.raises(OperatingError):
        decode_document(answer)


def test_time_has_milliseconds_and_says_utc() -> None:
    assert timestamp(0.5) == "1970-01-01T00:00:00.500Z"
    assert timestamp(None) is None
