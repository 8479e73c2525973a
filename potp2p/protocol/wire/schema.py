"""
Messages described once: a frozen dataclass whose annotations are also its bounds.

Every field is `Annotated` with one of the markers below, or is itself such a dataclass, a tuple
of them, or an optional one. `encode` writes fields in order as one CBOR array; `decode` reads
untrusted bytes back and applies each bound before a value is built. A union of dataclasses with a
`KIND` number is written as `[KIND, *fields]`. There are no default values on the wire.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from enum import IntEnum
from types import NoneType, UnionType
from typing import Annotated, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from potp2p.foundation.errors import PeerError, RejectionReason
from potp2p.foundation.limits import MESSAGE_BYTES_MAX
from potp2p.protocol.wire.codec import (
    decode_array,
    encode_array,
    take_bool,
    take_bytes,
    take_int,
    take_list,
    take_text,
    take_uint,
)

Message = TypeVar("Message")
Write = Callable[[object], object]
Read = Callable[[object], object]


@dataclass(frozen=True, slots=True)
class Uint:
    """A non-negative integer below a bound."""

    below: int = 1 << 64


@dataclass(frozen=True, slots=True)
class Int:
    """An integer whose magnitude has a bound."""

    magnitude_max: int


@dataclass(frozen=True, slots=True)
class Octets:
    """A byte string with inclusive size bounds; one argument fixes the size."""

    bytes_min: int
    bytes_max: int | None = None


@dataclass(frozen=True, slots=True)
class Text:
    """A printable text string of bounded UTF-8 size."""

    bytes_max: int


@dataclass(frozen=True, slots=True)
class Many:
    """A tuple of bounded length."""

    items_max: int


def encode(message: object) -> bytes:
    """Return the canonical bytes of a message, those that are signed, hashed and sent."""
    return encode_array(cast("list[object]", _codec_of(type(message))[0](message)))


def decode(kind: type[Message], encoded: bytes, *, bytes_max: int = MESSAGE_BYTES_MAX) -> Message:
    """Parse untrusted bytes as one message, raising PeerError on any defect."""
    array = decode_array(encoded, bytes_max=bytes_max, items_max=items_most(kind))
    return cast("Message", _codec_of(kind)[1](array))


def decode_own(
    kind: type[Message], encoded: bytes, *, bytes_max: int = MESSAGE_BYTES_MAX
) -> Message:
    """Parse what we wrote ourselves: it may be as dense as its bounds allow."""
    return cast("Message", _codec_of(kind)[1](decode_array(encoded, bytes_max=bytes_max)))


_items_most: dict[object, int] = {}


def items_most(hint: object) -> int:
    """Return how many CBOR items the largest value of a kind is written with."""
    known = _items_most.get(hint)
    if known is None:
        known = _items_most[hint] = _count_items(hint)
    return known


def _count_items(hint: object) -> int:
    if get_origin(hint) is Annotated:
        inner, marker, *_ = get_args(hint)
        if isinstance(marker, Many):
            return 1 + marker.items_max * items_most(get_args(inner)[0])
        return 1
    if get_origin(hint) in (Union, UnionType):
        # One more than the fields: a union of several writes its kind in front.
        return 1 + max(items_most(option) for option in get_args(hint))
    if isinstance(hint, type) and is_dataclass(hint):
        hints = get_type_hints(hint, include_extras=True)
        return 1 + sum(items_most(hints[each.name]) for each in fields(hint))
    return 1


_codecs: dict[object, tuple[Write, Read]] = {}
"""Built once per dataclass, when it is first written or read."""


def _codec_of(kind: type) -> tuple[Write, Read]:
    known = _codecs.get(kind)
    if known is None:
        known = _codecs[kind] = _build_codec(kind)
    return known


def _build_codec(kind: type) -> tuple[Write, Read]:
    """Derive writer and reader of one dataclass from its annotations."""
    assert is_dataclass(kind), kind
    hints = get_type_hints(kind, include_extras=True)
    names = tuple(field.name for field in fields(kind))
    codecs = tuple(_field_codec(hints[name]) for name in names)
    writers = tuple(zip(names, (codec[0] for codec in codecs), strict=True))
    readers = tuple(codec[1] for codec in codecs)

    def write(value: object) -> object:
        return [writer(getattr(value, name)) for name, writer in writers]

    def read(value: object) -> object:
        items = take_list(value, items_max=len(readers))
        if len(items) != len(readers):
            raise PeerError(RejectionReason.MALFORMED, f"{kind.__name__}: {len(items)} fields")
        arguments = [reader(item) for reader, item in zip(readers, items, strict=True)]
        return cast("object", kind(*arguments))

    return write, read


def _field_codec(hint: object) -> tuple[Write, Read]:
    if get_origin(hint) is Annotated:
        inner, *markers = get_args(hint)
        return _marked_codec(inner, markers[0])
    if get_origin(hint) in (Union, UnionType):
        return _union_codec(get_args(hint))
    if hint is bool:
        return _same, take_bool
    if isinstance(hint, type) and issubclass(hint, IntEnum):
        return _enum_codec(hint)
    assert isinstance(hint, type), f"no wire form for {hint}"
    return _codec_of(hint)


def _marked_codec(inner: object, marker: object) -> tuple[Write, Read]:
    match marker:
        case Uint(below):
            return _same, lambda value: take_uint(value, below=below)
        case Int(magnitude_max):
            return _same, lambda value: take_int(value, magnitude_max=magnitude_max)
        case Octets(bytes_min, bytes_max):
            top = bytes_min if bytes_max is None else bytes_max
            return _same, lambda value: take_bytes(value, bytes_min=bytes_min, bytes_max=top)
        case Text(bytes_max):
            return _same, lambda value: take_text(value, bytes_max=bytes_max)
        case Many(items_max):
            return _tuple_codec(get_args(inner)[0], items_max)
        case _:
            raise AssertionError(f"unknown marker {marker}")


def _tuple_codec(item: object, items_max: int) -> tuple[Write, Read]:
    write, read = _field_codec(item)

    def write_all(value: object) -> object:
        return [write(each) for each in cast("tuple[object, ...]", value)]

    def read_all(value: object) -> object:
        return tuple(read(each) for each in take_list(value, items_max=items_max))

    return write_all, read_all


def _enum_codec(kind: type[IntEnum]) -> tuple[Write, Read]:
    members = {int(member): member for member in kind}

    def read(value: object) -> object:
        number = take_uint(value)
        if number not in members:
            raise PeerError(RejectionReason.OUT_OF_BOUNDS, f"{kind.__name__} {number}")
        return members[number]

    return lambda value: int(cast("IntEnum", value)), read


def _union_codec(options: tuple[object, ...]) -> tuple[Write, Read]:
    some = tuple(option for option in options if option is not NoneType)
    if len(some) == 1:
        write_one, read_one = _field_codec(some[0])
    else:
        write_one, read_one = _kind_codec(some)
    if len(some) == len(options):
        return write_one, read_one

    def write(value: object) -> object:
        return None if value is None else write_one(value)

    def read(value: object) -> object:
        return None if value is None else read_one(value)

    return write, read


def _kind_codec(options: tuple[object, ...]) -> tuple[Write, Read]:
    """Write a union as `[KIND, *fields]`; kinds are looked up only when first used."""
    by_kind: dict[int, type] = {}
    for option in options:
        assert isinstance(option, type)
        number = cast("int", getattr(option, "KIND"))  # noqa: B009  # a ClassVar mypy cannot see
        assert number not in by_kind, f"kind {number} twice"
        by_kind[number] = option

    def write(value: object) -> object:
        number = cast("int", getattr(value, "KIND"))  # noqa: B009
        return [number, *cast("list[object]", _codec_of(type(value))[0](value))]

    def read(value: object) -> object:
        items = take_list(value, items_max=64)
        number = take_uint(items[0] if items else None)
        if number not in by_kind:
            raise PeerError(RejectionReason.MALFORMED, f"unknown kind {number}")
        return _codec_of(by_kind[number])[1](items[1:])

    return write, read


def _same(value: object) -> object:
    return value
