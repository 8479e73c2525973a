"""What bytes go through on their way to a decoder: blind damage, and damage that knows CBOR."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

Mutate = Callable[[bytes, Random], bytes]

BYTES_MAX: Final = 1 << 16
"""Longest input of an ordinary execution; heavier ones are made on purpose (`heavy`)."""
ODD_BYTES: Final = (0x00, 0x01, 0x7F, 0x80, 0xFE, 0xFF)
ODD_LENGTHS: Final = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 1 << 48)


@dataclass(frozen=True, slots=True)
class Item:
    """One CBOR item in some bytes."""

    start: int
    head_end: int
    end: int
    major: int
    argument: int


def mutate(encoded: bytes, other: bytes, random: Random, mutators: Sequence[Mutate]) -> bytes:
    """Damage bytes once to four times; `other` lends parts."""
    for _ in range(random.choice((1, 1, 1, 2, 3, 4))):
        if random.random() < 0.1:
            encoded = _splice(encoded, other, random)
        else:
            encoded = random.choice(mutators)(encoded, random)
    return encoded[:BYTES_MAX]


def _splice(encoded: bytes, other: bytes, random: Random) -> bytes:
    start = random.randint(0, len(encoded))
    first = random.randint(0, len(other))
    last = random.randint(first, len(other))
    return encoded[:start] + other[first:last] + encoded[start + random.choice((0, last - first)) :]


# Damage to any bytes.


def flip_bit(encoded: bytes, random: Random) -> bytes:
    """Turn one bit over."""
    if not encoded:
        return bytes((random.randrange(256),))
    place = random.randrange(len(encoded))
    changed = encoded[place] ^ 1 << random.randrange(8)
    return encoded[:place] + bytes((changed,)) + encoded[place + 1 :]


def set_byte(encoded: bytes, random: Random) -> bytes:
    """Put an odd byte somewhere."""
    place = random.randint(0, max(0, len(encoded) - 1))
    return encoded[:place] + bytes((random.choice(ODD_BYTES),)) + encoded[place + 1 :]


def cut(encoded: bytes, random: Random) -> bytes:
    """Break off, at either end."""
    place = random.randint(0, len(encoded))
    return encoded[:place] if random.random() < 0.7 else encoded[place:]


def insert(encoded: bytes, random: Random) -> bytes:
    """Put a few random bytes in between."""
    place = random.randint(0, len(encoded))
    return encoded[:place] + random.randbytes(random.choice((1, 2, 4, 8, 40))) + encoded[place:]


def repeat(encoded: bytes, random: Random) -> bytes:
    """Say a part again, often."""
    first = random.randint(0, len(encoded))
    last = random.randint(first, min(len(encoded), first + 64))
    return encoded[:last] + encoded[first:last] * random.choice((1, 2, 9, 300)) + encoded[last:]


def set_length(encoded: bytes, random: Random) -> bytes:
    """Overwrite what may be a length, little or big endian."""
    width = random.choice((1, 2, 4, 8))
    number = random.choice(ODD_LENGTHS) % (1 << 8 * width)
    place = random.choice((0, random.randint(0, len(encoded))))
    order = random.choice(("big", "little"))
    field = number.to_bytes(width, "big" if order == "big" else "little")
    return encoded[:place] + field + encoded[place + width :]


def replace_all(encoded: bytes, random: Random) -> bytes:
    """Forget everything: random bytes."""
    return random.randbytes(random.choice((0, 1, 2, 9, 40, 300, len(encoded))))


ANY: Final[tuple[Mutate, ...]] = (
    flip_bit, flip_bit, set_byte, cut, insert, repeat, set_length, replace_all,
)  # fmt: skip


# Damage that knows where CBOR items begin.


def items_of(encoded: bytes) -> list[Item]:
    """Return every item of well-formed CBOR, outermost first; what is not, as far as it goes."""
    items: list[Item] = []
    offset = 0
    while offset < len(encoded) and len(items) < 2_000:
        head = _head_at(encoded, offset)
        if head is None:
            break
        items.append(head)
        offset = head.end
    return items


def _head_at(encoded: bytes, start: int) -> Item | None:
    major, size = divmod(encoded[start], 32)
    end = start + 1
    if size > 27:
        return None
    if size >= 24:
        width = 1 << size - 24
        size = int.from_bytes(encoded[end : end + width], "big")
        end += width
    content = end + size if major in (2, 3) else end
    return Item(start, end, content, major, size) if content <= len(encoded) else None


def head(major: int, argument: int, width: int | None = None) -> bytes:
    """Return a CBOR head, in its shortest form unless a width is given."""
    if width is None:
        if argument < 24:
            return bytes((major << 5 | argument,))
        width = next(each for each in (1, 2, 4, 8) if each == 8 or argument < 1 << 8 * each)
    code = {1: 24, 2: 25, 4: 26, 8: 27}[width]
    return bytes((major << 5 | code,)) + (argument % (1 << 8 * width)).to_bytes(width, "big")


def _whole(encoded: bytes, item: Item) -> int:
    """Return the end of an item with everything inside it."""
    left, offset = 1, item.start
    while left and offset < len(encoded):
        found = _head_at(encoded, offset)
        if found is None:
            return len(encoded)
        left += found.argument - 1 if found.major == 4 else -1
        offset = found.end
    return offset


def _pick(encoded: bytes, random: Random) -> Item | None:
    items = items_of(encoded)
    return random.choice(items) if items else None


def widen(encoded: bytes, random: Random) -> bytes:
    """Spell a number or length longer than it needs."""
    item = _pick(encoded, random)
    if item is None:
        return flip_bit(encoded, random)
    spelled = head(item.major, item.argument, random.choice((1, 2, 4, 8)))
    return encoded[: item.start] + spelled + encoded[item.head_end :]


def claim(encoded: bytes, random: Random) -> bytes:
    """Announce another number of bytes or items than there are."""
    item = _pick(encoded, random)
    if item is None:
        return flip_bit(encoded, random)
    number = random.choice((*ODD_LENGTHS, item.argument + 1, max(0, item.argument - 1)))
    return encoded[: item.start] + head(item.major, number) + encoded[item.head_end :]


def retype(encoded: bytes, random: Random) -> bytes:
    """Keep content and length, but say that it is something else."""
    item = _pick(encoded, random)
    if item is None:
        return flip_bit(encoded, random)
    return (
        encoded[: item.start] + head(random.randrange(8), item.argument) + encoded[item.head_end :]
    )


def substitute(encoded: bytes, random: Random) -> bytes:
    """Put another thing in the place of an item with everything inside it."""
    item = _pick(encoded, random)
    if item is None:
        return flip_bit(encoded, random)
    end = _whole(encoded, item)
    old = encoded[item.start : end]
    other = _pick(encoded, random) or item
    depth = random.choice((1, 2, 7, 8, 9, 60, 3_000))
    new = random.choice(
        (
            b"",
            old + old,
            encoded[other.start : _whole(encoded, other)],
            b"\xf4", b"\xf5", b"\xf6", b"\xf7", b"\xf8\x20", b"\xe0", b"\xff",
            b"\x20", b"\x3b" + b"\xff" * 8, b"\x1b" + b"\xff" * 8,
            b"\xc2\x49\x01" + bytes(8), b"\xc0" + old, b"\xd8\x23\x61(", b"\xd9\xd9\xf7" + old,
            b"\xf9\x7e\x00", b"\xfa\x47\xc3\x50\x00", b"\xfb" + random.randbytes(8),
            b"\x9f" + old + b"\xff", b"\x5f\x41a\xff", b"\x7f\x61a\xff", b"\xbf\xff",
            b"\xa0", b"\xa1" + old + old, b"\xa1\x80\x80", b"\x80", b"\x40", b"\x60",
            b"\x63\xed\xa0\x80", b"\x62\xc3\x28", b"\x61\x00", b"\x64\xf0\x9d\x84\x9e",
            b"\x81" * depth + old, b"\x9a\x00\x00\x02\x00" + b"\x80" * 512,
        )
    )  # fmt: skip
    return encoded[: item.start] + new + encoded[end:]


CBOR: Final[tuple[Mutate, ...]] = (*ANY, widen, claim, retype, substitute, substitute, substitute)


# Damage that knows text.

TOKENS: Final = (
    b"{", b"}", b"[", b"]", b"\"", b"'", b",", b":", b"=", b".", b"-", b"+", b"e9999", b"1e400",
    b"NaN", b"Infinity", b"-Infinity", b"null", b"true", b"false", b"0x10", b"1_0", b"00", b"-0",
    b"\\u0000",
    b"\\ud800", b"\\", b"\n", b"\r\n", b"\x00", b"\xff", b"\xed\xa0\x80", b"\xef\xbb\xbf",
    b"9" * 30, b"9" * 5_000, b"0." + b"1" * 60, b"1979-05-27T07:32:00Z", b"[[", b"]]", b'"""',
    "é".encode(), "\u202e".encode(), "٣".encode(), b"[" * 2_000, b'{"a":' * 500, b"#", b" ", b"\t",
)  # fmt: skip


def put_token(encoded: bytes, random: Random) -> bytes:
    """Put a word that parsers care for in the place of a few bytes."""
    place = random.randint(0, len(encoded))
    return encoded[:place] + random.choice(TOKENS) + encoded[place + random.choice((0, 1, 2, 8)) :]


def drop_line(encoded: bytes, random: Random) -> bytes:
    """Leave a line out, or say it twice."""
    lines = encoded.split(b"\n")
    place = random.randrange(len(lines))
    lines[place : place + 1] = random.choice(([], [lines[place]] * 2))
    return b"\n".join(lines)


TEXT: Final[tuple[Mutate, ...]] = (*ANY, put_token, put_token, put_token, put_token, drop_line)


# Inputs made to be dear: small for their number of items.


def heavy(random: Random) -> bytes:
    """Return tens of kilobytes of the smallest items, in one array or many."""
    item = random.choice(
        (b"\x80", b"\x40", b"\xf6", b"\x00", b"\x18\x18", b"\x19\x7f\x00", b"\x82\x00\x00",
         b"\x81\x80", b"\x41a", b"\x42ab", b"\x62ab", b"\xa0", b"\xa1\x00\x00", b"\x83\x40\x40\x40")
    )  # fmt: skip
    count = random.choice((1_000, 12_000, 60_000, 60_000, 400_000)) // len(item)
    return random.choice((b"", b"\x81", b"\x82\x00")) + head(4, count) + item * count
