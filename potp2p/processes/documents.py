"""What a process of ours prints for machines: JSON documents, one per line, read from its file."""

import json
from typing import cast

import trio

from potp2p.foundation.errors import OperatingError, UnreachableError
from potp2p.foundation.limits import STATUS_BYTES_MAX
from potp2p.processes.fleet import POLL_SECONDS, Child

Document = dict[str, object]


async def first_line(child: Child, deadline_seconds: float) -> str:
    """Return the first whole line of a child's output."""
    with trio.move_on_after(deadline_seconds):
        while True:
            code = child.returncode
            content = child.output.read_bytes()  # a small file of our own
            line, newline, _ = content.partition(b"\n")
            if newline:
                return line.decode("utf-8", "replace")
            if code is not None:
                raise OperatingError(f"{child.name} ended: {child.last_words()}")
            await trio.sleep(POLL_SECONDS)
    raise UnreachableError(f"{child.name} said nothing within {deadline_seconds:.0f} s")


def document_of(child: Child) -> Document:
    """Return the JSON document that an ended child printed."""
    with child.output.open("rb") as file:
        content = file.read(STATUS_BYTES_MAX + 1)
    return parse_document(content, child.name)


def parse_document(content: bytes, name: str) -> Document:
    """Parse one JSON object."""
    try:
        document: object = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise OperatingError(f"{name} printed something that is not JSON") from error
    if not isinstance(document, dict):
        raise OperatingError(f"{name} printed something that is not a JSON object")
    return cast("Document", document)
