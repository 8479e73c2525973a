"""
The operator's configuration: flag over environment over `config.toml` over default.

Keys are `section.key`; in the environment `POTP2P_SECTION__KEY`, lists separated by commas. Unknown
keys are refused by name and a bad value is one line that names where it was written.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum, unique
from pathlib import Path
from typing import Annotated, Final, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from potp2p.foundation.errors import ConfigurationError
from potp2p.foundation.limits import BLOB_QUOTA_BYTES
from potp2p.foundation.types import AccountId, Amount, TrustedCheckpoint
from potp2p.settings.values import (
    AccountText,
    AmountText,
    BootstrapAddress,
    CheckpointText,
    Device,
    ListenAddress,
    Name,
    account_of_text,
    amount_of_text,
    checkpoint_of_text,
)

CONFIGURATION_BYTES_MAX: Final = 1 << 16
PREFIX: Final = "POTP2P_"
LIST_ITEMS_MAX: Final = 64
DISK_QUOTA_MIB_MIN: Final = 256
"""One round of a devnet's payloads."""
DISK_QUOTA_MIB_MAX: Final = 1 << 26


@unique
class RoleName(StrEnum):
    """What a node is started as."""

    MINER = "miner"
    VALIDATOR = "validator"
    OBSERVER = "observer"


@unique
class ScreenMode(StrEnum):
    """How a node shows itself."""

    AUTO = "auto"
    """Full on a terminal, plain otherwise."""
    FULL = "full"
    PLAIN = "plain"
    NONE = "none"


class _Section(BaseModel):
    """Frozen, strict, and closed to unknown keys."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class NodeSection(_Section):
    """Who the node is."""

    name: Name = "potp2p"
    role: Annotated[RoleName, Field(strict=False)] = RoleName.OBSERVER
    disk_quota_mib: Annotated[int, Field(ge=DISK_QUOTA_MIB_MIN, le=DISK_QUOTA_MIB_MAX)] = (
        BLOB_QUOTA_BYTES >> 20
    )
    """For data, payloads and checkpoints; the least used go first, what is in use stays."""


class NetworkSection(_Section):
    """How it meets others."""

    listen: Annotated[tuple[ListenAddress, ...], Field(strict=False, max_length=LIST_ITEMS_MAX)] = (
        "/ip4/0.0.0.0/tcp/27680",
    )
    bootstrap: Annotated[
        tuple[BootstrapAddress, ...], Field(strict=False, max_length=LIST_ITEMS_MAX)
    ] = ()
    announce: Annotated[
        tuple[ListenAddress, ...], Field(strict=False, max_length=LIST_ITEMS_MAX)
    ] = ()
    """Told to others in place of the addresses we listen on."""
    mdns: bool = False
    """Look for peers on the local network."""
    checkpoint: CheckpointText = ""
    """HEIGHT:HASH of a block that the operator trusts; empty follows every block from genesis."""


class MinerSection(_Section):
    """What it computes with and for whom."""

    devices: Annotated[tuple[Device, ...], Field(strict=False, max_length=LIST_ITEMS_MAX)] = ()
    """torch names such as `cpu` or `cuda:0`; empty means every device that torch finds."""
    payout_address: AccountText = ""
    """Who is paid; empty means the node's own account."""
    min_pay: AmountText = "0"
    """Lowest price of an accepted shard, in POT."""


class UiSection(_Section):
    """How it shows itself."""

    mode: Annotated[ScreenMode, Field(strict=False)] = ScreenMode.AUTO
    ascii: bool = False


class Configuration(_Section):
    """Everything that an operator may set, with its default."""

    node: NodeSection = NodeSection()
    network: NetworkSection = NetworkSection()
    miner: MinerSection = MinerSection()
    ui: UiSection = UiSection()

    @property
    def payout(self) -> AccountId | None:
        """Return the account that is paid, None for the node's own."""
        return account_of_text(self.miner.payout_address)

    @property
    def checkpoint(self) -> TrustedCheckpoint | None:
        """Return the block that the operator vouches for, None without one."""
        return checkpoint_of_text(self.network.checkpoint)

    @property
    def lowest_price(self) -> Amount:
        """Return the lowest price of a shard in base units."""
        return amount_of_text(self.miner.min_pay)


@dataclass(frozen=True, slots=True)
class _Written:
    """One value as the operator wrote it, and where."""

    value: object
    origin: str


Key = tuple[str, str]
"""Section and key."""

SECTIONS: Final[Mapping[str, type[_Section]]] = {
    "node": NodeSection,
    "network": NetworkSection,
    "miner": MinerSection,
    "ui": UiSection,
}


def load_configuration(
    path: Path,
    *,
    environment: Mapping[str, str] | None = None,
    flags: Mapping[str, object] | None = None,
) -> Configuration:
    """
    Read the configuration of a node; without a file, defaults.

    `flags` are values by `section.key`, those that were given on the command line only. Raises
    ConfigurationError with one line that names file, variable or flag, and the key.
    """
    written = _from_file(path)
    written.update(_from_environment(environment or {}))
    for name, value in (flags or {}).items():
        section, _, key = name.partition(".")
        assert key in _keys(section), name
        written[section, key] = _Written(value, f"--{key.replace('_', '-')}")
    document: dict[str, dict[str, object]] = {name: {} for name in SECTIONS}
    for (section, key), given in written.items():
        document[section][key] = given.value
    try:
        return Configuration.model_validate(document)
    except ValidationError as error:
        raise ConfigurationError(_one_line(error, written)) from None


def render_configuration(configuration: Configuration) -> str:
    """Return the text of a `config.toml` that reads as this configuration."""
    lines = ["# potp2p node; flags and POTP2P_SECTION__KEY in the environment go before this file."]
    for section in SECTIONS:
        values = cast("_Section", getattr(configuration, section))
        lines += ["", f"[{section}]"]
        lines += [
            f"{key} = {_toml(cast('object', getattr(values, key)))}" for key in _keys(section)
        ]
    return "\n".join(lines) + "\n"


def _from_file(path: Path) -> dict[Key, _Written]:
    try:
        with path.open("rb") as file:
            content = file.read(CONFIGURATION_BYTES_MAX + 1)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot read: {error.strerror}") from error
    if len(content) > CONFIGURATION_BYTES_MAX:
        raise ConfigurationError(f"{path}: larger than {CONFIGURATION_BYTES_MAX} bytes")
    try:
        document: dict[str, object] = tomllib.loads(content.decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError(f"{path}: not TOML: {error}") from error
    written: dict[Key, _Written] = {}
    for section, table in document.items():
        if section not in SECTIONS:
            raise ConfigurationError(
                f"{path}: unknown section {section}{_guess(section, SECTIONS)}"
            )
        if not isinstance(table, dict):
            raise ConfigurationError(f"{path}: {section} is a section: write [{section}]")
        for key, value in cast("dict[str, object]", table).items():
            _refuse_unknown(str(path), section, key)
            written[section, key] = _Written(value, str(path))
    return written


def _from_environment(environment: Mapping[str, str]) -> dict[Key, _Written]:
    written: dict[Key, _Written] = {}
    for name, text in sorted(environment.items()):
        section, separator, key = name.removeprefix(PREFIX).lower().partition("__")
        if not name.startswith(PREFIX) or not separator:
            continue
        if section not in SECTIONS:
            raise ConfigurationError(
                f"{name}: unknown section {section}{_guess(section, SECTIONS)}"
            )
        _refuse_unknown(name, section, key)
        default = cast("object", SECTIONS[section].model_fields[key].default)
        written[section, key] = _Written(_from_text(default, text), name)
    return written


def _from_text(default: object, text: str) -> object:
    """Read a variable as the kind that its key has; what does not fit is left for the checks."""
    if isinstance(default, bool):
        return {"true": True, "1": True, "false": False, "0": False}.get(text.lower(), text)
    if isinstance(default, int) and text.isascii() and text.isdecimal():
        return int(text)
    if isinstance(default, tuple):
        return [part.strip() for part in text.split(",") if part.strip()]
    return text


def _unknown_section(origin: str, section: str) -> ConfigurationError:
    return ConfigurationError(f"{origin}: unknown section {section}{_guess(section, SECTIONS)}")


def _refuse_unknown(origin: str, section: str, key: str) -> None:
    known = _keys(section)
    if key not in known:
        raise ConfigurationError(f"{origin}: unknown key {section}.{key}{_guess(key, known)}")


def _keys(section: str) -> tuple[str, ...]:
    return tuple(SECTIONS[section].model_fields)


def _guess(word: str, known: Mapping[str, object] | tuple[str, ...]) -> str:
    near = get_close_matches(word, tuple(known), n=1)
    return f"; did you mean {near[0]}?" if near else f"; known are {', '.join(known)}"


def _one_line(error: ValidationError, written: Mapping[Key, _Written]) -> str:
    """Return the first defect with its place; pydantic's own words where ours do not apply."""
    first = error.errors(include_url=False, include_context=False)[0]
    section, key = str(first["loc"][0]), str(first["loc"][1])
    complaint = first["msg"].removeprefix("Value error, ")
    complaint = complaint[0].lower() + complaint[1:]
    return f"{written[section, key].origin}: {section}.{key}: {complaint}"


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, tuple):
        return "[" + ", ".join(_toml(item) for item in cast("tuple[object, ...]", value)) + "]"
    assert isinstance(value, str), value
    # Every text that passes the checks is printable and without quotes or backslashes.
    assert value.isprintable(), value
    assert not set(value) & set('"\\'), value
    return f'"{value}"'
