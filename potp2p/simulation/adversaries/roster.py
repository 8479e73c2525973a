"""Which class plays which adversary, and how it gets into a node."""

from typing import Final

from potp2p.simulation.adversaries.auditors import (
    ColludingAuditor,
    ColludingMiner,
    LazyAuditor,
    LyingAuditor,
)
from potp2p.simulation.adversaries.challengers import SpamChallenger
from potp2p.simulation.adversaries.cheat import Cheat, League
from potp2p.simulation.adversaries.clients import SelfDealer
from potp2p.simulation.adversaries.copiers import Copier, PerturbedCopier
from potp2p.simulation.adversaries.hiders import NoReveal, RivalAuthor, Withholder
from potp2p.simulation.adversaries.kinds import Kind, Place, place_of
from potp2p.simulation.adversaries.miners import (
    FalseLoss,
    FreeRider,
    HalfWork,
    Noise,
    Scaled,
    SignFlip,
    StaleWeights,
    WrongShard,
)

_MINERS: Final[dict[Kind, type[Cheat]]] = {
    each.KIND: each
    for each in (
        FreeRider,
        Copier,
        PerturbedCopier,
        StaleWeights,
        HalfWork,
        WrongShard,
        SignFlip,
        Scaled,
        Noise,
        FalseLoss,
        Withholder,
        NoReveal,
        ColludingMiner,
        RivalAuthor,
        SpamChallenger,
        SelfDealer,
    )
}
_SEATS: Final[dict[Kind, type[Cheat]]] = {
    each.KIND: each for each in (LazyAuditor, LyingAuditor, ColludingAuditor)
}


def cheat_of(kind: Kind, place: Place, league: League) -> Cheat:
    """Return an adversary for a miner or for a seat; a pair is made of one of each."""
    assert place in (Place.MINER, Place.SEAT)
    table = _MINERS if place is Place.MINER else _SEATS
    return table[kind](league)


def parts_of(kind: Kind) -> tuple[Place, ...]:
    """Return the nodes that an adversary consists of; a client has none of its own."""
    match place_of(kind):
        case Place.PAIR:
            return (Place.MINER, Place.SEAT)
        case Place.CLIENT:
            return (Place.MINER,) if kind in _MINERS else ()
        case place:
            return (place,)
