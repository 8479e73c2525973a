"""Keys, accounts and addresses, with the vectors of BIP-350."""

import pytest
from hypothesis import given
from hypothesis import strategies as some

from potp2p.foundation.errors import PeerError
from potp2p.foundation.types import AccountId
from potp2p.protocol.crypto.bech32 import (
    ALPHABET,
    CHECKSUM_LETTERS,
    _expand,
    _polymod,
    decode_bech32m,
    encode_bech32m,
)
from potp2p.protocol.crypto.identity import (
    CURVE_ORDER,
    KeyPair,
    account_of,
    decode_address,
    encode_address,
)

ONE = (1).to_bytes(32, "big")
GENERATOR = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"


@pytest.mark.parametrize(
    "text",
    [
        "A1LQFN3A",
        "a1lqfn3a",
        "an83characterlonghumanreadablepartthatcontainsthetheexcludedcharactersbioandnumber11sg7hg6",
        "abcdef1l7aum6echk45nj3s0wdvt2fg8x9yrzpqzd3ryx",
        "11llllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllludsr8",
        "split1checkupstagehandshakeupstreamerranterredcaperredlc445v",
        "?1v759aa",
    ],
)
def test_checksums_of_bip_350_are_accepted(text: str) -> None:
    try:
        decoded = decode_bech32m(text)
    except PeerError as error:
        # Two of the vectors hold no whole bytes; nothing else may be held against them.
        complaint, again = error.detail, text.lower()
    else:
        complaint, again = "", encode_bech32m(*decoded)
    assert complaint in ("", "padding is not zero")
    assert again == text.lower()


@pytest.mark.parametrize(
    "text",
    [
        "\x201xj0phk", "\x7f1g6xzxy", "\x801vctc34",
        "an84characterslonghumanreadablepartthatcontainsthetheexcludedcharactersbioandnumber11d6pts4",
        "qyrz8wqd2c9m", "1qyrz8wqd2c9m", "y1b0jsk6g", "lt1igcx5c0", "in1muywd", "mm1crxm3i",
        "au1s5cgom", "M1VUXWEZ", "16plkw9", "1p2gdwpf", "", "1", "pot1", "a12uel5l",
    ],
)  # fmt: skip
def test_text_that_bip_350_refuses_is_refused(text: str) -> None:
    with pytest.raises(PeerError, match="malformed"):
        decode_bech32m(text)


def test_bech32_of_the_older_kind_is_refused() -> None:
    with pytest.raises(PeerError, match="checksum"):
        decode_bech32m("abcdef1qpzry9x8gf2tvdw0s3jn54khce6mua7lmqqqxw")


@given(some.binary(min_size=20, max_size=20), some.data())
def test_any_one_or_two_wrong_letters_are_noticed(account: bytes, data: some.DataObject) -> None:
    text = encode_address(AccountId(account))
    assert decode_address(text) == account
    wrong = list(text)
    for _ in range(data.draw(some.integers(1, 2))):
        place = data.draw(some.integers(4, len(text) - 1))
        wrong[place] = data.draw(some.sampled_from(ALPHABET))

    if "".join(wrong) != text:
        with pytest.raises(PeerError, match="checksum"):
            decode_address("".join(wrong))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (encode_bech32m("bc", bytes(20)), "malformed: address begins with bc1, not pot1"),
        (encode_bech32m("pot", bytes(19)), "malformed: address holds 19 bytes, not 20"),
        (encode_bech32m("pot", bytes(21)), "malformed: address holds 21 bytes, not 20"),
        ("pot1" + "é" * 38, "malformed: a character that no address has"),
        ("pot1" * 100, "malformed: longer than 90 letters"),
    ],
)
def test_address_of_another_kind_is_named(text: str, complaint: str) -> None:
    with pytest.raises(PeerError) as caught:
        decode_address(text)
    assert str(caught.value) == complaint


def test_address_in_capitals_is_the_same_account() -> None:
    keys = KeyPair.from_secret(ONE)

    assert decode_address(keys.address.upper()) == keys.account


def test_node_and_account_of_the_first_secret_are_frozen() -> None:
    keys = KeyPair.from_secret(ONE)

    assert keys.node_id.hex() == GENERATOR
    assert keys.account == account_of(keys.node_id)
    assert keys.account.hex() == "0f715baf5d4c2ed329785cef29e562f73488c8a2"
    assert keys.address == "pot1pac4ht6afshdx2tctnhjnetz7u6g3j9z4vjspv"


@pytest.mark.parametrize(
    "secret",
    [b"", bytes(31), bytes(32), CURVE_ORDER.to_bytes(32, "big"), b"\xff" * 32, b"\x01" * 33],
)
def test_number_outside_the_group_is_no_secret(secret: bytes) -> None:
    with pytest.raises(ValueError, match="not a secp256k1 secret"):
        KeyPair.from_secret(secret)


def test_secret_is_not_printed() -> None:
    assert "secret" not in repr(KeyPair.from_secret(ONE))


@pytest.mark.parametrize("letter", ALPHABET)
def test_one_letter_after_the_last_byte_is_refused_even_under_a_right_checksum(
    letter: str,
) -> None:
    prefix, data = "pot", encode_bech32m("pot", b"\x00")[4:-CHECKSUM_LETTERS] + letter
    letters = [ALPHABET.index(each) for each in data]
    remainder = _polymod([*_expand(prefix), *letters, *[0] * CHECKSUM_LETTERS]) ^ 0x2BC830A3
    checksum = [ALPHABET[remainder >> 5 * (5 - place) & 31] for place in range(CHECKSUM_LETTERS)]

    with pytest.raises(PeerError, match="padding is not zero"):
        decode_bech32m(f"{prefix}1{data}{''.join(checksum)}")
