"""
Where bytes or text of others are parsed, and which target stands for each place.

A place is a function that calls one of PRIMITIVES or is called `decode_*` or `parse_*`. Messages of
the schema need no line here: every class with a wire form is a target of its own.
"""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent.parent.parent
PRIMITIVES: Final = frozenset({
    "FromString", "ParseFromString", "from_base58", "from_bytes", "frombuffer", "fromhex",
    "fromisoformat", "literal_eval", "loads", "model_validate", "unpack", "unpack_from",
})  # fmt: skip
ROOMS_OF_OUR_OWN: Final = ("benchmarks", "devnet", "simulation", "ui")
"""They read what this very process or its children wrote a moment ago."""
NAMES: Final = ("decode_", "parse_")

DECODERS: Final[dict[str, str]] = {
    "cli/work/certificate.py::_read_key": "validator key",
    "cli/work/identity.py::read_chain_id": "chain id",
    "potp2p/foundation/amounts.py::parse_amount": "amount",
    "potp2p/network/directory.py::parse_peer_address": "peer address",
    "potp2p/network/frames.py::FrameReader.read": "stream frames",
    "potp2p/network/gossip.py::GuardedPubsub._handle_frame": "gossip frames",
    "potp2p/network/yamux.py::YamuxConnection._read": "yamux",
    "potp2p/observability/representation.py::decode_document": "status document",
    "potp2p/processes/documents.py::parse_document": "printed document",
    "potp2p/protocol/crypto/bech32.py::decode_bech32m": "bech32m",
    "potp2p/protocol/crypto/identity.py::decode_address": "address",
    "potp2p/protocol/ledger/state.py::decode_record": "state record by its key",
    "potp2p/protocol/ledger/transition.py::decode_transaction": "transaction",
    "potp2p/protocol/ledger/tree.py::verify_proof": "proof of a record",
    "potp2p/protocol/scheduling/task_text.py::parse": "task file's text",
    "potp2p/protocol/wire/codec.py::_weigh": "gossip batch",
    "potp2p/protocol/wire/codec.py::decode_array": "gossip batch",
    "potp2p/protocol/wire/consensus.py::decode_frame": "consensus frame",
    "potp2p/protocol/wire/manifests.py::decode_manifest": "manifest of a blob",
    "potp2p/protocol/wire/schema.py::decode_own": "journal record",
    "potp2p/services/consensus_guard.py::decode_note": "note in the safety record",
    "potp2p/services/consensus_records.py::decode_record": "journal record",
    "potp2p/settings/configuration.py::_from_file": "settings file",
    "potp2p/settings/configuration.py::load_configuration": "settings in the environment",
    "potp2p/settings/keys.py::_parse": "key file",
    "potp2p/settings/values.py::checkpoint_of_text": "settings file",
    "potp2p/storage/blob_folder.py::_blob_named": "name of a blob",
    "potp2p/storage/journal_frames.py::Form.frame_at": "journal file",
    "potp2p/storage/journal_frames.py::_form_of": "journal file",
    "potp2p/storage/safety.py::_slot": "safety record",
    "potp2p/storage/tables.py::height_from_key": "key of a height",
    "potp2p/training/compression/d8.py::decode": "payload",
    "potp2p/training/compression/d8.py::decode_block": "payload",
    "potp2p/training/compression/d8.py::decode_lease": "lease of a payload",
    "potp2p/training/configuration.py::read_configuration": "model configuration",
    "potp2p/training/frames.py::FrameBuffer._next_body_bytes": "worker frames",
    "potp2p/training/tensors.py::_entry": "tensor file",
    "potp2p/training/tensors.py::decode_header": "tensor file",
    "potp2p/training/tensors.py::decode_tensors": "tensor file",
    "potp2p/workers/devices.py::parse_devices": "list of devices",
}
"""Each place and the name of the target that runs it."""

NO_DECODERS: Final[dict[str, str]] = {
    "potp2p/protocol/crypto/beacon.py::draw": "a hash as a number",
    "potp2p/protocol/crypto/bech32.py::encode_bech32m": "writes",
    "potp2p/protocol/crypto/identity.py::is_secret": "compares 32 bytes with the curve's order",
    "potp2p/protocol/crypto/signing.py::verify_signature": "two numbers of fixed size, all legal",
    "potp2p/protocol/incentives/lottery.py::ticket": "a hash as a number",
    "potp2p/protocol/ledger/contributions.py::bits_of": "a bitmap that the schema has bounded",
    "potp2p/protocol/ledger/keys.py::lease_place": "a key that this process has just made",
    "potp2p/protocol/ledger/keys.py::round_place": "a key that this process has just made",
    "potp2p/protocol/ledger/stamp.py::cycle_of_stamp": "eight bytes that the schema has bounded",
    "potp2p/protocol/ledger/stamp.py::is_stamp": "a hash as a number",
    "potp2p/protocol/ledger/stamp.py::search_stamp": "counts stamps of fixed size",
    "potp2p/protocol/ledger/tree.py::_item_of": "a hash as a number",
    "potp2p/protocol/ledger/tree.py::_rebuild": "a node that this process wrote, under its root",
    "potp2p/protocol/ledger/tree.py::prove": "a hash as a number",
    "potp2p/services/outbox.py::OutboxService._hand_to_validators": "a key as a number",
    "potp2p/storage/chain.py::LmdbChainStore.receipts": "what this node stored for its own eyes",
    "potp2p/training/central.py::_task_id": "a test harness's own flag",
    "potp2p/training/data.py::permutation": "a hash as numbers",
    "potp2p/training/nudging.py::_signs": "a hash as signs",
    "potp2p/training/examples.py::read_text": "the client's own text, any byte of it is legal",
    "potp2p/training/self_test.py::numbers": "a hash as numbers",
}
"""Each place that is none, and why."""


def places() -> Iterator[str]:
    """Yield every place of the package where something is parsed."""
    for top in ("potp2p", "cli", "bootstrap"):
        for path in sorted((ROOT / top).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            if not name.startswith(tuple(f"potp2p/{room}/" for room in ROOMS_OF_OUR_OWN)):
                yield from (f"{name}::{each}" for each in _functions(ast.parse(path.read_text())))


def _functions(module: ast.Module) -> set[str]:
    found: set[str] = set()

    def walk(node: ast.AST, stack: tuple[str, ...]) -> None:
        for child in ast.iter_child_nodes(node):
            inner = stack
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                inner = (*stack, child.name)
                if child.name.startswith(NAMES):
                    found.add(".".join(inner))
            if isinstance(child, ast.Call) and _name(child.func) in PRIMITIVES:
                found.add(".".join(stack))
            walk(child, inner)

    walk(module, ())
    return found


def decoded_kinds() -> Iterator[tuple[str, str]]:
    """Yield every class named in a call of the schema's `decode`, with where it is."""
    for top in ("potp2p", "cli", "bootstrap"):
        for path in sorted((ROOT / top).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if (
                    isinstance(node, ast.Call)
                    and _name(node.func) in {"decode", "decode_own"}
                    and node.args
                    and isinstance(node.args[0], ast.Name)
                    and node.args[0].id[0].isupper()
                ):
                    yield node.args[0].id, path.relative_to(ROOT).as_posix()


def _name(function: ast.expr) -> str:
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""
