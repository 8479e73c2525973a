"""Bounded, canonical CBOR: bytes decode to exactly one value or are refused."""

from collections.abc import Callable, Iterator, Mapping
from typing import Final, NoReturn, cast

import cbor2

from potp2p.foundation.errors import PeerError, RejectionReason
from potp2p.foundation.limits import CBOR_DEPTH_MAX, MESSAGE_BYTES_MAX

UINT64_MAX: Final = (1 << 64) - 1


class _NoTags(Mapping[int, Callable[[cbor2.CBORDecoder, bool], object]]):
    """Claims every tag, only to refuse it: tags would build dates, regexes and emails."""

    def __getitem__(self, tag: int) -> Callable[[cbor2.CBORDecoder, bool], NoReturn]:
        def refuse(_decoder: cbor2.CBORDecoder, _immutable: bool) -> NoReturn:  # noqa: FBT001
            raise ValueError(f"tag {tag}")

        return refuse

    def __iter__(self) -> Iterator[int]:
        return iter(())

    def __len__(self) -> int:
        return 1


_NO_TAGS: Final = _NoTags()


def encode_array(fields: list[object]) -> bytes:
    """Encode plain values as a definite-length array, so key order can never differ."""
    return cbor2.dumps(fields, canonical=True)


def decode_array(encoded: bytes, *, bytes_max: int = MESSAGE_BYTES_MAX) -> list[object]:
    """
    Decode one array of plain values from untrusted bytes.

    Raises PeerError for an overlong input and for every spelling that `encode_array` would not
    produce: tags, indefinite lengths, longer integer forms, trailing bytes.
    """
    if len(encoded) > bytes_max:
        raise PeerError(RejectionReason.OUT_OF_BOUNDS, f"message of {len(encoded)} bytes")
    try:
        decoded: object = cbor2.loads(
            encoded, max_depth=CBOR_DEPTH_MAX, allow_indefinite=False, semantic_decoders=_NO_TAGS
        )
        canonical = cbor2.dumps(decoded, canonical=True)
    except (cbor2.CBORError, ValueError, TypeError, OverflowError) as error:
        raise PeerError(RejectionReason.MALFORMED, "not our CBOR") from error
    if not isinstance(decoded, list):
        raise PeerError(RejectionReason.MALFORMED, "expected an array")
    if canonical != encoded:
        raise PeerError(RejectionReason.MALFORMED, "non-canonical encoding")
    return cast("list[object]", decoded)


def take_uint(field: object, *, below: int = UINT64_MAX + 1) -> int:
    """Accept a non-negative integer under a bound; a boolean is not an integer here."""
    if type(field) is not int:
        raise PeerError(RejectionReason.MALFORMED, "expected an unsigned integer")
    if not 0 <= field < below:
        raise PeerError(RejectionReason.OUT_OF_BOUNDS, f"integer {field} is not below {below}")
    return field


def take_int(field: object, *, magnitude_max: int) -> int:
    """Accept an integer of bounded magnitude; a boolean is not an integer here."""
    if type(field) is not int:
        raise PeerError(RejectionReason.MALFORMED, "expected an integer")
    if not -magnitude_max <= field <= magnitude_max:
        raise PeerError(RejectionReason.OUT_OF_BOUNDS, f"integer {field}")
    return field


def take_bool(field: object) -> bool:
    """Accept true or false and nothing that merely looks like it."""
    if not isinstance(field, bool):
        raise PeerError(RejectionReason.MALFORMED, "expected a boolean")
    return field


def take_bytes(field: object, *, bytes_min: int, bytes_max: int) -> bytes:
    """Accept a byte string whose size lies within bounds, both included."""
    if not isinstance(field, bytes):
        raise PeerError(RejectionReason.MALFORMED, "expected a byte string")
    if not bytes_min <= len(field) <= bytes_max:
        raise PeerError(RejectionReason.OUT_OF_BOUNDS, f"byte string of {len(field)} bytes")
    return field


def take_text(field: object, *, bytes_max: int) -> str:
    """Accept a text string of bounded UTF-8 size without control characters."""
    if not isinstance(field, str):
        raise PeerError(RejectionReason.MALFORMED, "expected a text string")
    if len(field.encode()) > bytes_max:
        raise PeerError(RejectionReason.OUT_OF_BOUNDS, "text too long")
    if not field.isprintable():
        raise PeerError(RejectionReason.OUT_OF_BOUNDS, "text with control characters")
    return field


def take_list(field: object, *, items_max: int) -> list[object]:
    """Accept an array of bounded length."""
    if not isinstance(field, list):
        raise PeerError(RejectionReason.MALFORMED, "expected an array")
    items = cast("list[object]", field)
    if len(items) > items_max:
        raise PeerError(RejectionReason.OUT_OF_BOUNDS, f"array of {len(items)} items")
    return items
