"""Random values of messages, generated from the annotations that are also their bounds."""

from dataclasses import fields, is_dataclass
from enum import IntEnum
from random import Random
from types import NoneType, UnionType
from typing import Annotated, Final, Union, get_args, get_origin, get_type_hints

from potp2p.protocol.wire.schema import Int, Many, Octets, Text, Uint

LENGTHS: Final = (0, 1, 2, 3, 23, 24, 25, 31, 32, 33, 64, 255, 256, 300)
NUMBERS: Final = (0, 1, 2, 23, 24, 255, 256, 65_535, 65_536, (1 << 32) - 1, 1 << 32, (1 << 64) - 1)
LETTERS: Final = "aZ09 _-/.é漢𝄞"
ITEMS: Final = (0, 1, 2, 3, 5, 24)


def value_of(hint: object, random: Random, room: int = 60) -> object:
    """Return a value within the bounds of a hint; `room` limits how many items it has."""
    if get_origin(hint) is Annotated:
        inner, marker, *_ = get_args(hint)
        return _marked(inner, marker, random, room)
    if get_origin(hint) in (Union, UnionType):
        options = get_args(hint)
        if NoneType in options and random.random() < 0.4:
            return None
        return value_of(
            random.choice([each for each in options if each is not NoneType]), random, room
        )
    if hint is bool:
        return random.random() < 0.5
    assert isinstance(hint, type), hint
    if issubclass(hint, IntEnum):
        return random.choice(list(hint))
    assert is_dataclass(hint), hint
    hints = get_type_hints(hint, include_extras=True)
    return hint(*(value_of(hints[each.name], random, room) for each in fields(hint)))


def _marked(inner: object, marker: object, random: Random, room: int) -> object:
    match marker:
        case Uint(below):
            return random.choice([n for n in (*NUMBERS, below - 1) if n < below])
        case Int(magnitude):
            return random.choice([0, 1, -1, magnitude, -magnitude])
        case Octets(least, most):
            return random.randbytes(_length(least, least if most is None else most, random))
        case Text(most):
            letters = "".join(random.choices(LETTERS, k=min(most, random.choice(LENGTHS[:10]))))
            return letters.encode()[:most].decode(errors="ignore")
        case Many(most):
            count = min(most, room, random.choice(ITEMS))
            item = get_args(inner)[0]
            left = room // max(1, count)
            return tuple(value_of(item, random, left) for _ in range(count))
        case _:
            pass
    raise AssertionError(f"unknown marker {marker}")


def _length(least: int, most: int, random: Random) -> int:
    return random.choice([least, *(each for each in LENGTHS if least <= each <= most)])


def is_message(kind: object) -> bool:
    """Tell whether a class has a wire form: a dataclass of marked fields and other messages."""
    if not isinstance(kind, type) or not is_dataclass(kind) or not fields(kind):
        return False
    try:
        hints = get_type_hints(kind, include_extras=True)
    except (NameError, TypeError):
        return False
    return all(_has_wire_form(hints[each.name]) for each in fields(kind))


def _has_wire_form(hint: object) -> bool:
    if get_origin(hint) is Annotated:
        inner, marker, *_ = get_args(hint)
        if isinstance(marker, Many):
            return _has_wire_form(get_args(inner)[0])
        return isinstance(marker, Uint | Int | Octets | Text)
    if get_origin(hint) in (Union, UnionType):
        some = [each for each in get_args(hint) if each is not NoneType]
        numbered = len(some) == 1 or all(hasattr(each, "KIND") for each in some)
        return numbered and all(_has_wire_form(each) for each in some)
    if isinstance(hint, type) and issubclass(hint, IntEnum):
        return True
    return hint is bool or is_message(hint)
