"""Numbers as a person reads them; unknown is `--`."""

import math
from datetime import datetime
from typing import Final

from potp2p.foundation.types import POT

UNKNOWN: Final = "--"
_BINARY_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB")
_MINUTE: Final = 60
_HOUR: Final = 3_600
_DAY: Final = 86_400
_LOSS_LARGE: Final = 100


def count(number: int | None) -> str:
    """Thousands apart: 48,213."""
    return UNKNOWN if number is None else f"{number:,}"


def size(size_bytes: int | None) -> str:
    """Bytes in powers of 1,024: 21.3 GiB."""
    if size_bytes is None:
        return UNKNOWN
    value = float(size_bytes)
    for unit in _BINARY_UNITS[:-1]:
        if abs(value) < 1_024:
            return f"{size_bytes} B" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1_024
    return f"{value:.1f} {_BINARY_UNITS[-1]}"


def traffic(size_bytes: int | None) -> str:
    """Transferred bytes in powers of 1,000: 8.7 GB."""
    if size_bytes is None:
        return UNKNOWN
    value = float(size_bytes)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1_000:
            return f"{size_bytes} B" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1_000
    return f"{value:.1f} TB"


def duration(seconds: float | None) -> str:
    """Days and clock: 2d 04:11, 04:11:52, 05:36."""
    if seconds is None or not math.isfinite(seconds):
        return UNKNOWN
    whole = max(0, int(seconds))
    hours, minutes = whole % _DAY // _HOUR, whole % _HOUR // _MINUTE
    if whole >= _DAY:
        return f"{whole // _DAY}d {hours:02}:{minutes:02}"
    if whole >= _HOUR:
        return f"{hours:02}:{minutes:02}:{whole % _MINUTE:02}"
    return f"{minutes:02}:{whole % _MINUTE:02}"


def ago(seconds: float | None) -> str:
    """An age: 19 s ago, 05:36 ago."""
    if seconds is None:
        return UNKNOWN
    return f"{max(0, int(seconds))} s ago" if seconds < _MINUTE else f"{duration(seconds)} ago"


def amount(units: int | None) -> str:
    """POT with three places, as on a screen; exact text is `format_amount`."""
    if units is None:
        return UNKNOWN
    sign = "-" if units < 0 else ""
    return f"{sign}{abs(units) // POT:,}.{abs(units) % POT // 1_000_000:03}"


def loss(value: float | None) -> str:
    """Nats with three places, or fewer when large."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    return f"{value:.3f}" if abs(value) < _LOSS_LARGE else f"{value:.3g}"


def rate(per_second: float | None) -> str:
    """Steps per second."""
    if per_second is None or not math.isfinite(per_second):
        return UNKNOWN
    return f"{per_second:.2f}"


def digest(text: str) -> str:
    """The first eight characters of an identifier."""
    return text[:8] if text else UNKNOWN


def abbreviated(text: str, cells: int) -> str:
    """Keep both ends of an identifier: pot1q7m4..9sd2."""
    if len(text) <= cells:
        return text
    tail = max(1, (cells - 2) // 3)
    return f"{text[: cells - 2 - tail]}..{text[-tail:]}"


def clock(seconds: float) -> str:
    """Local time of day."""
    return datetime.fromtimestamp(seconds).astimezone().strftime("%H:%M:%S")


def moment(seconds: float) -> str:
    """Local date and time with milliseconds, as log lines begin."""
    local = datetime.fromtimestamp(seconds).astimezone()
    return local.strftime("%Y-%m-%d %H:%M:%S.") + f"{local.microsecond // 1_000:03}"
