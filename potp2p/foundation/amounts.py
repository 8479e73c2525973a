"""Amounts as people write them: decimal POT in, exact base units out, and back."""

import re
from typing import Final

from potp2p.foundation.errors import ConfigurationError
from potp2p.foundation.limits import AMOUNT_BOUND
from potp2p.foundation.types import POT, Amount

CURRENCY: Final = "POT"
_DIGITS: Final = 9
"""Decimal places of one POT; `POT` is ten to this power."""
_WRITTEN: Final = re.compile(r"([0-9]{1,12})(?:\.([0-9]{1,9}))?", re.ASCII)


def parse_amount(text: str) -> Amount:
    """Return base units of a decimal such as `1.25`; signs, exponents and commas are refused."""
    match = _WRITTEN.fullmatch(text)
    if match is None:
        raise ConfigurationError(
            f"amount {text!r} is not a decimal number of POT with at most 9 places, such as 1.25"
        )
    whole, places = match.group(1), match.group(2) or ""
    amount = int(whole) * POT + int(places.ljust(_DIGITS, "0"))
    if amount >= AMOUNT_BOUND:
        raise ConfigurationError(f"amount {text} POT is more than can exist")
    return Amount(amount)


def format_amount(amount: int) -> str:
    """Return exact decimal POT without needless zeros: 1250000000 is `1.25`."""
    sign = "-" if amount < 0 else ""
    whole, places = divmod(abs(amount), POT)
    decimals = f"{places:0{_DIGITS}}".rstrip("0")
    return f"{sign}{whole}.{decimals}" if decimals else f"{sign}{whole}"


assert 10**_DIGITS == POT
