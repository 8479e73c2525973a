"""Checks of single settings; each says in its own words what belongs in its place."""

import re
from typing import Annotated, Final

from pydantic import AfterValidator

from potp2p.foundation.amounts import parse_amount
from potp2p.foundation.errors import ConfigurationError, PeerError
from potp2p.foundation.limits import HEIGHT_BOUND
from potp2p.foundation.types import AccountId, Amount, Digest, Height, TrustedCheckpoint
from potp2p.protocol.crypto.identity import decode_address

PORT_MAX: Final = 65_535
NAME_LETTERS_MAX: Final = 32

_NAME: Final = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,{NAME_LETTERS_MAX - 1}}}", re.ASCII)
_DEVICE: Final = re.compile(r"cpu|cuda:[0-9]{1,3}", re.ASCII)
_CHECKPOINT: Final = re.compile(r"([0-9]{1,15}):[0-9a-fA-F]{64}", re.ASCII)
_TCP: Final = re.compile(
    r"/(ip4|ip6|dns|dns4|dns6)/([0-9A-Za-z.:_-]{1,253})/tcp/([0-9]{1,5})", re.ASCII
)
_PEER: Final = re.compile(r"/p2p/[1-9A-HJ-NP-Za-km-z]{40,60}", re.ASCII)


def check_name(text: str) -> str:
    """Accept a name that is safe in a log, a path and a table."""
    if not _NAME.fullmatch(text):
        raise ValueError(f"{text!r} is not a name of up to 32 letters, digits, '.', '_' and '-'")
    return text


def check_device(text: str) -> str:
    """Accept a device as torch names it."""
    if not _DEVICE.fullmatch(text):
        raise ValueError(f"{text!r} is not a device such as cpu or cuda:0")
    return text


def check_listen(text: str) -> str:
    """Accept a TCP multiaddress without a peer id."""
    match = _TCP.fullmatch(text)
    if match is None or int(match[3]) > PORT_MAX:
        raise ValueError(f"{text!r} is not an address such as /ip4/0.0.0.0/tcp/27680")
    return text


def check_bootstrap(text: str) -> str:
    """Accept a TCP multiaddress that ends in a peer id."""
    match = _TCP.match(text)
    if match is None or int(match[3]) > PORT_MAX or not _PEER.fullmatch(text[match.end() :]):
        raise ValueError(f"{text!r} is not an address such as /ip4/192.0.2.1/tcp/27680/p2p/ID")
    return text


def check_amount(text: str) -> str:
    """Accept an amount of POT in decimals."""
    try:
        parse_amount(text)
    except ConfigurationError as error:
        raise ValueError(str(error)) from error
    return text


def check_account(text: str) -> str:
    """Accept an address, or nothing."""
    try:
        if text:
            decode_address(text)
    except PeerError as error:
        raise ValueError(f"{text!r} is not an address: {error.detail}") from error
    return text


def check_checkpoint(text: str) -> str:
    """Accept a height and a block hash, or nothing."""
    match = _CHECKPOINT.fullmatch(text)
    if text and (match is None or not 0 < int(match[1]) < HEIGHT_BOUND):
        raise ValueError(f"{text!r} is not HEIGHT:HASH, a height and 64 hex digits")
    return text


def account_of_text(text: str) -> AccountId | None:
    """Return the account behind a checked address, None for an empty one."""
    return decode_address(text) if text else None


def checkpoint_of_text(text: str) -> TrustedCheckpoint | None:
    """Return the block behind a checked checkpoint, None for an empty one."""
    height, _, digest = text.partition(":")
    return TrustedCheckpoint(Height(int(height)), Digest(bytes.fromhex(digest))) if text else None


def amount_of_text(text: str) -> Amount:
    """Return the base units of a checked amount."""
    return parse_amount(text)


Name = Annotated[str, AfterValidator(check_name)]
Device = Annotated[str, AfterValidator(check_device)]
ListenAddress = Annotated[str, AfterValidator(check_listen)]
BootstrapAddress = Annotated[str, AfterValidator(check_bootstrap)]
AmountText = Annotated[str, AfterValidator(check_amount)]
AccountText = Annotated[str, AfterValidator(check_account)]
CheckpointText = Annotated[str, AfterValidator(check_checkpoint)]
