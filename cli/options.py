"""Flags that several commands share."""

from enum import StrEnum, unique
from pathlib import Path
from typing import Annotated

import typer


@unique
class RoleChoice(StrEnum):
    """What a node is started as; the words of the configuration, without what it imports."""

    MINER = "miner"
    VALIDATOR = "validator"
    OBSERVER = "observer"


@unique
class ScreenChoice(StrEnum):
    """How a node shows itself; likewise."""

    AUTO = "auto"
    FULL = "full"
    PLAIN = "plain"
    NONE = "none"


@unique
class ExampleChoice(StrEnum):
    """The packages that come with potp2p."""

    DIGITS = "digits"
    DIGITS_RESNET = "digits-resnet"
    IMAGES_RESNET50 = "images-resnet50"
    TEXT = "text"


@unique
class ModeChoice(StrEnum):
    """How a round trains."""

    LOCAL = "local"
    GRADIENT = "gradient"


@unique
class LevelChoice(StrEnum):
    """What a simulation consists of."""

    NODES = "nodes"
    CORE = "core"
    TWINS = "twins"
    WITHHOLDING = "withholding"


DataFolder = Annotated[
    Path | None,
    typer.Option(
        "-d", "--datadir", metavar="DIR", help="Folder of this node; moves everything into it."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]
Bootstrap = Annotated[
    list[str] | None,
    typer.Option(
        "--bootstrap", metavar="MULTIADDR", help="Address of a bootstrap node; may be repeated."
    ),
]
GenesisFile = Annotated[
    Path | None, typer.Option("--genesis", metavar="FILE", help="Genesis document on disk.")
]
ChainHex = Annotated[
    str | None,
    typer.Option("--chain-id", metavar="HEX", help="Refuse a genesis with another chain id."),
]
KeyFile = Annotated[
    Path | None,
    typer.Option("--key", metavar="FILE", help="Key file of the account [default: wallet.key]."),
]
Yes = Annotated[bool, typer.Option("-y", "--yes", help="Do not ask before spending.")]
Fee = Annotated[
    str | None,
    typer.Option(
        "--fee",
        metavar="POT",
        help="Fee of the transaction [default: enough for the next blocks].",
    ),
]
