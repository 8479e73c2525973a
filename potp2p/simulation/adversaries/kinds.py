"""The names of the adversaries, and where each of them sits."""

from enum import StrEnum, unique
from typing import Final

from potp2p.foundation.errors import ConfigurationError


@unique
class Kind(StrEnum):
    """One way to cheat, by the name that the command line takes."""

    FREE_RIDER = "free-rider"
    COPIER = "copier"
    PERTURBED_COPIER = "perturbed-copier"
    STALE_WEIGHTS = "stale-weights"
    HALF_WORK = "half-work"
    WRONG_SHARD = "wrong-shard"
    SIGN_FLIP = "sign-flip"
    SCALED = "scaled"
    NOISE = "noise"
    FALSE_LOSS = "false-loss"
    WITHHOLDER = "withholder"
    NO_REVEAL = "no-reveal"
    LAZY_AUDITOR = "lazy-auditor"
    LYING_AUDITOR = "lying-auditor"
    COLLUDING_PAIR = "colluding-pair"
    SPAM_CHALLENGER = "spam-challenger"
    SELF_DEALING_CLIENT = "self-dealing-client"
    RIVAL_AUTHOR = "rival-author"
    DATA_WITHHOLDING_CLIENT = "data-withholding-client"


@unique
class Place(StrEnum):
    """What an adversary is in the network while it cheats."""

    MINER = "miner"
    """One more miner."""
    SEAT = "seat"
    """One of the validators, which audits as any bonded node does."""
    PAIR = "pair"
    """One more miner, and one of the validators."""
    CLIENT = "client"
    """Who orders training; one that deals with itself is a miner besides."""


_ELSEWHERE: Final = {
    Kind.LAZY_AUDITOR: Place.SEAT,
    Kind.LYING_AUDITOR: Place.SEAT,
    Kind.COLLUDING_PAIR: Place.PAIR,
    Kind.SELF_DEALING_CLIENT: Place.CLIENT,
    Kind.DATA_WITHHOLDING_CLIENT: Place.CLIENT,
}

POISONS: Final = (
    Kind.FREE_RIDER,
    Kind.COPIER,
    Kind.PERTURBED_COPIER,
    Kind.STALE_WEIGHTS,
    Kind.HALF_WORK,
    Kind.WRONG_SHARD,
    Kind.SIGN_FLIP,
    Kind.SCALED,
    Kind.NOISE,
)
"""Those whose payloads differ from honest ones, and so may cost the model its accuracy."""


def place_of(kind: Kind) -> Place:
    """Return where an adversary sits."""
    return _ELSEWHERE.get(kind, Place.MINER)


def parse_kind(text: str) -> Kind:
    """Return the kind that an operator named, or raise ConfigurationError with all that exist."""
    try:
        return Kind(text)
    except ValueError as error:
        known = ", ".join(Kind)
        raise ConfigurationError(f"unknown adversary {text}; there are: {known}") from error
