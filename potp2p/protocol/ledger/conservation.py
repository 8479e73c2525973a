"""Money is conserved: checked over the changes of every block, and over everything where asked."""

from collections.abc import Iterable

from potp2p.protocol.ledger.keys import chain_key
from potp2p.protocol.ledger.money import held
from potp2p.protocol.ledger.records import Chain
from potp2p.protocol.ledger.state import Overlay, decode_record


def verify_conserved(overlay: Overlay, genesis_supply: int) -> None:
    """Assert that a block changed the money in its records by what it issued and burned."""
    moved = supply_change = 0
    for key, before, after in overlay.changed():
        moved += held(after) - held(before)
        if key == chain_key():
            assert isinstance(before, Chain)
            assert isinstance(after, Chain)
            supply_change = after.supply - before.supply
            assert after.supply == genesis_supply + after.issued - after.burned
    assert moved == supply_change, f"money changed by {moved}, the supply by {supply_change}"


def check_supply(records: Iterable[tuple[bytes, bytes]]) -> tuple[int, int]:
    """Return what the chain says exists and what a walk over all records finds."""
    expected = found = 0
    for key, encoded in records:
        record = decode_record(key, encoded)
        found += held(record)
        if isinstance(record, Chain):
            expected = record.supply
    return expected, found
