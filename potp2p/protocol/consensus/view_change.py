"""Who wants which view: joining, leading and the growth of timers."""

from dataclasses import dataclass, field

from potp2p.foundation.limits import VIEW_EXPONENT_MAX
from potp2p.foundation.types import ValidatorIndex, View
from potp2p.protocol.wire.consensus import ProvenViewChange, SignedViewChange


@dataclass(frozen=True, slots=True)
class Timing:
    """Genesis parameters of the clock, in milliseconds."""

    block_interval: int
    view_timeout: int
    """View 0, after the block interval."""
    view_step: int
    view_cap: int

    def delay_of(self, started_before: int) -> int:
        """Return the time of a view above 0; the argument counts earlier ones of the height."""
        exponent = min(started_before, VIEW_EXPONENT_MAX)
        grown: int = self.view_step * 3**exponent // 2**exponent
        return min(self.view_cap, grown)


@dataclass(slots=True)
class ViewChangeBook:
    """
    The highest view change of each signer of one height.

    One absurdly high view moves nobody, since joining needs f+1 signers and takes the smallest.
    """

    by_signer: dict[ValidatorIndex, ProvenViewChange] = field(default_factory=dict)

    def find(self, signer: ValidatorIndex) -> ProvenViewChange | None:
        """Return the highest view change of a signer."""
        return self.by_signer.get(signer)

    def add(self, message: ProvenViewChange) -> None:
        """Keep a view change if it is the signer's highest, or the same with its proof."""
        known = self.by_signer.get(message.statement.signer)
        if (
            known is None
            or message.statement.view > known.statement.view
            or (known.statement == message.statement and not is_proven(known))
        ):
            self.by_signer[message.statement.signer] = message

    def signers_from(self, view: View) -> tuple[ValidatorIndex, ...]:
        """Return who is in this view or beyond, ascending."""
        return tuple(
            sorted(
                signer
                for signer, message in self.by_signer.items()
                if message.statement.view >= view
            )
        )

    def view_to_join(self, view: View, weak_quorum: int) -> View | None:
        """Return the smallest view above ours once enough signers are above."""
        if len(self.by_signer) < weak_quorum:
            return None
        above = [
            message.statement.view
            for message in self.by_signer.values()
            if message.statement.view > view
        ]
        return min(above) if len(above) >= weak_quorum else None

    def exactly(self, view: View) -> tuple[ProvenViewChange, ...]:
        """Return the proven view changes to one view, ascending by signer."""
        return tuple(
            self.by_signer[signer]
            for signer in sorted(self.by_signer)
            if self.by_signer[signer].statement.view == view and is_proven(self.by_signer[signer])
        )


def is_proven(message: ProvenViewChange) -> bool:
    """Tell whether a message can stand alone: its claim, if any, comes with the certificate."""
    return message.statement.prepared is None or message.certificate is not None


def without_proof(message: ProvenViewChange) -> SignedViewChange:
    """Return a view change as a proposal lists it."""
    return SignedViewChange(message.statement, message.signature)
