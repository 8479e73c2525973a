"""Bounded, canonical CBOR: bytes decode to exactly one value or are refused."""

from collections.abc import Callable, Iterator, Mapping
from typing import Final, NoReturn, cast

import cbor2

from potp2p.foundation.errors import PeerError, RejectionReason
from potp2p.foundation.limits import (
    CBOR_DENSITY_FREE_BYTES,
    CBOR_DEPTH_MAX,
    CBOR_WEIGHED_FROM_BYTES,
    MESSAGE_BYTES_MAX,
)

UINT64_MAX: Final = (1 << 64) - 1
_ITEM_WEIGHT: Final = 16
"""Bytes of memory that any item takes: its place in a list, and once more in our tuple."""
_ARRAY_WEIGHT: Final = 64
_STRING_WEIGHT: Final = 48
_NUMBER_WEIGHT: Final = 32
"""Bytes of memory that an array, a string and a large integer take beyond that."""
_ARGUMENT_FOLLOWS: Final = 24
_STRINGS: Final = (2, 3)
_ARRAY: Final = 4
_MAP_OR_TAG: Final = (5, 6)
"""Major types and the first head with its number behind it, RFC 8949 section 3."""
_SMALL_NUMBER_MAX: Final = 255
"""Such integers, like strings of one letter, exist once in a process."""
_MEMORY_PER_BYTE: Final = 8
"""What a message may take beside its own bytes, so that all in all it stays within tenfold."""


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


def decode_array(
    encoded: bytes, *, bytes_max: int = MESSAGE_BYTES_MAX, items_max: int | None = None
) -> list[object]:
    """
    Decode one array of plain values from untrusted bytes; `items_max` None: our own bytes.

    Raises PeerError for an overlong input and for every spelling that `encode_array` would not
    produce: tags, indefinite lengths, longer integer forms, trailing bytes.
    """
    if len(encoded) > bytes_max:
        raise PeerError(RejectionReason.OUT_OF_BOUNDS, f"message of {len(encoded)} bytes")
    if items_max is not None and len(encoded) > CBOR_WEIGHED_FROM_BYTES:
        _weigh(encoded, items_max)
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


def _weigh(encoded: bytes, items_max: int) -> None:
    """
    Walk over the heads of all items before any is built; refuse what would fill our memory.

    A megabyte of empty arrays becomes 68 megabytes of objects and holds the processor for a
    second. Lengths are believed only as far as the walk gets, which `items_max` ends.
    """
    weight_max = _MEMORY_PER_BYTE * len(encoded) + CBOR_DENSITY_FREE_BYTES
    offset, left, items, weight = 0, 1, 0, 0
    while left:
        if items == items_max or offset >= len(encoded):
            raise PeerError(RejectionReason.MALFORMED, f"more than {items} items, or cut off")
        major, size = divmod(encoded[offset], 32)
        offset += 1
        left -= 1
        items += 1
        weight += _ITEM_WEIGHT
        if size >= _ARGUMENT_FOLLOWS:
            width = 1 << size - _ARGUMENT_FOLLOWS
            size = int.from_bytes(encoded[offset : offset + width], "big")
            offset += width
        if major in _STRINGS:
            offset += size
            weight += _STRING_WEIGHT if size > 1 else 0
        elif major == _ARRAY:
            left += size
            weight += _ARRAY_WEIGHT
        elif major in _MAP_OR_TAG:
            raise PeerError(RejectionReason.MALFORMED, "a map or a tag")
        elif size > _SMALL_NUMBER_MAX:
            weight += _NUMBER_WEIGHT
        if weight > weight_max:
            raise PeerError(RejectionReason.OUT_OF_BOUNDS, f"{items} items in so few bytes")


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
