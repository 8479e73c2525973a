"""Bech32m text, whose checksum finds any four wrong letters; BIP-350 without its segwit part."""

from collections.abc import Iterable
from typing import Final

from potp2p.foundation.errors import PeerError, RejectionReason

ALPHABET: Final = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
CHECKSUM_LETTERS: Final = 6
TEXT_LETTERS_MAX: Final = 90
"""Beyond this the checksum no longer finds every four errors, BIP-173."""
_CONSTANT: Final = 0x2BC830A3
"""What sets bech32m apart from bech32, BIP-350."""
_GENERATORS: Final = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_PRINTABLE_FIRST: Final = 33
_PRINTABLE_LAST: Final = 126


def encode_bech32m(prefix: str, payload: bytes) -> str:
    """Write bytes under a lower-case prefix."""
    letters = _regroup(payload, 8, 5)
    if len(payload) * 8 % 5:
        bits = int.from_bytes(payload, "big") << (5 - len(payload) * 8 % 5)
        letters.append(bits & 31)
    remainder = _polymod([*_expand(prefix), *letters, *[0] * CHECKSUM_LETTERS]) ^ _CONSTANT
    checksum = [remainder >> 5 * (5 - place) & 31 for place in range(CHECKSUM_LETTERS)]
    text = f"{prefix}1{''.join(ALPHABET[letter] for letter in (*letters, *checksum))}"
    assert len(text) <= TEXT_LETTERS_MAX, "payload too long for bech32m"
    return text


def decode_bech32m(text: str) -> tuple[str, bytes]:
    """Return prefix and payload, raising PeerError for every spelling `encode` would not write."""
    prefix, letters = _split(text)
    if _polymod([*_expand(prefix), *letters]) != _CONSTANT:
        raise _malformed("checksum does not match: check every letter")
    data = letters[:-CHECKSUM_LETTERS]
    payload = bytes(_regroup(data, 5, 8))
    spare_bits = len(data) * 5 % 8
    if spare_bits >= 5 or (spare_bits and data[-1] & ((1 << spare_bits) - 1)):  # noqa: PLR2004
        raise _malformed("padding is not zero")
    return prefix, payload


def _split(text: str) -> tuple[str, list[int]]:
    """Cut text at its last `1` and turn letters into 5-bit numbers."""
    if len(text) > TEXT_LETTERS_MAX:
        raise _malformed(f"longer than {TEXT_LETTERS_MAX} letters")
    if any(not _PRINTABLE_FIRST <= ord(letter) <= _PRINTABLE_LAST for letter in text):
        raise _malformed("a character that no address has")
    if text not in (text.lower(), text.upper()):
        raise _malformed("capital and small letters mixed")
    prefix, separator, rest = text.lower().rpartition("1")
    if not separator or not prefix or len(rest) < CHECKSUM_LETTERS:
        raise _malformed("too short, or without the separator 1")
    if strangers := sorted(set(rest) - set(ALPHABET)):
        raise _malformed(f"letter {strangers[0]!r} does not occur in addresses")
    return prefix, [ALPHABET.index(letter) for letter in rest]


def _regroup(values: Iterable[int], width: int, new_width: int) -> list[int]:
    """Cut a bit string anew, most significant bit first, leaving out an incomplete last group."""
    groups: list[int] = []
    accumulator = bits = 0
    for value in values:
        accumulator = (accumulator << width | value) & 0xFFFF
        bits += width
        while bits >= new_width:
            bits -= new_width
            groups.append(accumulator >> bits & (1 << new_width) - 1)
    return groups


def _expand(prefix: str) -> list[int]:
    return [*(ord(letter) >> 5 for letter in prefix), 0, *(ord(letter) & 31 for letter in prefix)]


def _polymod(values: Iterable[int]) -> int:
    checksum = 1
    for value in values:
        top = checksum >> 25
        checksum = (checksum & 0x1FFFFFF) << 5 ^ value
        for place, generator in enumerate(_GENERATORS):
            if top >> place & 1:
                checksum ^= generator
    return checksum


def _malformed(detail: str) -> PeerError:
    return PeerError(RejectionReason.MALFORMED, detail)
