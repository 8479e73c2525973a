"""No decoder stays unfuzzed: places where bytes are parsed, and classes that are decoded."""

from pathlib import Path

from tests.fuzz.engine import all_targets
from tests.fuzz.register import DECODERS, NO_DECODERS, decoded_kinds, places
from tests.fuzz.wire_targets import kinds, name_of


def test_every_place_that_parses_bytes_has_a_target_or_a_reason() -> None:
    unknown = sorted(set(places()) - set(DECODERS) - set(NO_DECODERS))

    assert unknown == [], "give it a target, or a reason why it needs none, in register.py"


def test_the_register_names_no_place_that_is_gone() -> None:
    assert sorted((set(DECODERS) | set(NO_DECODERS)) - set(places())) == []
    assert sorted(set(DECODERS) & set(NO_DECODERS)) == []


def test_every_target_that_the_register_names_exists(tmp_path: Path) -> None:
    names = {target.name for target in all_targets(tmp_path)}

    assert sorted(set(DECODERS.values()) - names) == []


def test_every_class_that_is_decoded_anywhere_is_fuzzed() -> None:
    fuzzed = {kind.__name__ for kind in kinds()}

    assert sorted(each for each in decoded_kinds() if each[0] not in fuzzed) == []


def test_the_walk_finds_messages_of_every_room() -> None:
    rooms = {name_of(kind).rsplit(".", 1)[0] for kind in kinds()}

    assert {"protocol.wire.blocks", "protocol.ledger.records", "training.commands"} <= rooms
    assert {"services.consensus_records", "protocol.ledger.tree"} <= rooms
