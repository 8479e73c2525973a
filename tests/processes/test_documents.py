"""What processes print for machines."""

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from potp2p.foundation.errors import OperatingError, UnreachableError
from potp2p.processes.documents import document_of, first_line, parse_document
from potp2p.processes.fleet import Child, Fleet


@pytest.fixture
async def fleet(tmp_path: Path) -> AsyncIterator[Fleet]:
    fleet = Fleet(tmp_path)
    yield fleet
    await fleet.stop()
    assert all(child.returncode is not None for child in fleet.children)


def start(fleet: Fleet, program: str) -> Child:
    return fleet.start("child", (sys.executable, "-c", f"import sys\n{program}"))


async def test_first_line_comes_before_the_end(fleet: Fleet) -> None:
    child = start(fleet, "print('one\\ntwo', flush=True); import signal; signal.pause()")

    assert await first_line(child, 20) == "one"
    assert child.returncode is None


async def test_line_without_an_end_is_not_a_line(fleet: Fleet) -> None:
    child = start(fleet, "sys.stdout.write('half'); sys.exit('no room left')")

    with pytest.raises(OperatingError, match=r"^child ended: no room left$"):
        await first_line(child, 20)


async def test_silent_process_is_not_waited_for_forever(fleet: Fleet) -> None:
    child = start(fleet, "import signal; signal.pause()")

    with pytest.raises(UnreachableError, match="child said nothing within 0 s"):
        await first_line(child, 0.1)


async def test_document_of_an_ended_process_is_what_it_printed(fleet: Fleet) -> None:
    child = start(fleet, "print('{\"height\": 3}')")
    assert await child.ended() == 0

    assert document_of(child) == {"height": 3}


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff", b"[" * 100_000], ids=["empty", "cut", "bytes", "deep"]
)
def test_text_that_is_not_json_is_an_answer_to_refuse(content: bytes) -> None:
    with pytest.raises(OperatingError, match=r"^x printed something that is not JSON$"):
        parse_document(content, "x")


@pytest.mark.parametrize("content", [b"[]", b"3", b"null"], ids=repr)
def test_json_that_is_no_object_is_refused(content: bytes) -> None:
    with pytest.raises(OperatingError, match="not a JSON object"):
        parse_document(content, "x")
