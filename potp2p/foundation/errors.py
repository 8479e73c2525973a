"""Faults with a name: a peer lies, the world fails, the operator errs; our bugs stay assertions."""

from enum import StrEnum, unique


class Potp2pError(Exception):
    """Root of every error this package raises on purpose."""


@unique
class RejectionReason(StrEnum):
    """Language-neutral reason a peer's input was refused."""

    MALFORMED = "malformed"
    """The bytes are not the canonical encoding of any known message."""

    OUT_OF_BOUNDS = "out_of_bounds"
    """A field lies outside its published limit."""

    BAD_SIGNATURE = "bad_signature"
    """The signature does not verify under the claimed node key."""

    WRONG_CHAIN = "wrong_chain"
    """The message belongs to another network."""

    WRONG_SENDER = "wrong_sender"
    """The signer has no right to say this: no seat, no lease, not the task's client."""

    NOT_PRIMARY = "not_primary"
    """A proposal came from a validator that does not lead its view."""

    EQUIVOCATION = "equivocation"
    """Two different bodies were signed where one is allowed."""

    BAD_JUSTIFICATION = "bad_justification"
    """A certificate of votes does not prove what it is shown for."""

    BAD_BLOCK = "bad_block"
    """A block breaks a rule or does not reproduce its state root."""

    BAD_NONCE = "bad_nonce"
    """A paid transaction does not carry its sender's next nonce."""

    INSUFFICIENT_FUNDS = "insufficient_funds"
    """The sender cannot pay the amount, budget or fee."""

    UNDERPRICED = "underpriced"
    """The fee is below what the base fee asks for so many bytes."""

    NOT_FOUND = "not_found"
    """The message refers to a task, round, lease or contribution that does not exist."""

    TOO_EARLY = "too_early"
    """The step comes before the phase that allows it."""

    TOO_LATE = "too_late"
    """The deadline of the step has passed."""

    USELESS = "useless"
    """Right, but nothing of it is new or may stay here: one of the two lags. Not passed on."""

    DUPLICATE = "duplicate"
    """The same thing was said before and is allowed once."""

    BAD_TASK = "bad_task"
    """The task's rules are refused: dropout, epsilon, precision, steps or limits."""

    BAD_PAYLOAD = "bad_payload"
    """A payload has the wrong length, header, exponent, range or norm."""

    BAD_PROOF = "bad_proof"
    """A Merkle, reveal or stamp proof does not lead to its root."""

    BANNED = "banned"
    """The account is banned for now."""

    UNPROVEN = "unproven"
    """We are too far behind to judge it: nobody is at fault, and it is not handed on."""

    RATE = "rate"
    """The peer sends more than its share."""


class PeerError(Potp2pError):
    """A remote input was refused; the peer pays, we carry on."""

    def __init__(self, reason: RejectionReason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class OperatingError(Potp2pError):
    """Disk, device, worker or network failed us; retry within a bound or stop cleanly."""


class UnreachableError(OperatingError):
    """No peer or running node answered in time; exit code 4."""


class MissingError(OperatingError):
    """What was asked for does not exist: a task, block, key or blob; exit code 5."""


class UnsafeError(OperatingError):
    """Going on would risk a double signature or a lost identity; exit code 6."""


class FundsError(OperatingError):
    """The account cannot pay; exit code 7."""


class LockedError(OperatingError):
    """Another instance holds the data folder; exit code 8."""


class ConfigurationError(Potp2pError):
    """The operator's file, flag or passphrase cannot be used as written; exit code 3."""
