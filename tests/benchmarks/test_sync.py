"""Catch-up is measured on real nodes; a chain made by hand holds in every respect."""

from dataclasses import replace
from pathlib import Path

import pytest

from potp2p.benchmarks.sync import NEWCOMER, SyncPlan, measure_sync, sync_lines, verify_sync_plan
from potp2p.foundation.errors import ConfigurationError
from potp2p.protocol.ledger.validity import body_of, verify_body, verify_frame_author, verify_seal
from potp2p.storage.environment import Environment
from potp2p.storage.tables import Table
from tests.doubles.archives import empty_chain


async def test_a_made_chain_passes_every_check_of_a_validator() -> None:
    chain = empty_chain()
    maker = chain.maker
    for _ in range(102):
        parent, parent_seal = maker.parent, maker.parent_seal
        prospects = maker.ledger.prospects(parent)
        made = maker.make(1)
        verify_body(
            body_of(made.block),
            prospects=prospects,
            parent_hash=(maker.ledger.chain_id if parent_seal is None else parent_seal.block_hash),
            parent_validators=prospects.nodes,
            chain_id=maker.ledger.chain_id,
        )
        verify_frame_author(made.block, prospects)
        maker.ledger.verify_frame(made.block.header.frame, parent)
        verify_seal(made.seal, prospects.nodes, maker.ledger.chain_id)
        await chain.keep(made)


@pytest.mark.parametrize(
    "change",
    [{"blocks": 0}, {"blocks": 100_001}, {"transactions_per_block": 1_001}, {"peers": 0}],
    ids=str,
)
def test_catch_up_that_cannot_be_measured_is_refused(
    change: dict[str, int], tmp_path: Path
) -> None:
    plan = SyncPlan(10, 1, 1, is_validator=False, folder=tmp_path)
    verify_sync_plan(plan)
    flag = next(iter(change)).replace("_", "-")
    with pytest.raises(ConfigurationError, match=f"^--{flag} "):
        verify_sync_plan(replace(plan, **change))  # type: ignore[arg-type]


@pytest.mark.long
@pytest.mark.parametrize("is_validator", [False, True])
async def test_a_real_node_catches_up_and_its_course_is_told(
    is_validator: bool, tmp_path: Path
) -> None:
    plan = SyncPlan(120, 5, 2, is_validator=is_validator, folder=tmp_path / "bench")
    document = await measure_sync(plan)
    assert document["blocks"] == 120
    assert document["role"] == ("validator" if is_validator else "observer")
    assert "blocks/s" in "\n".join(sync_lines(document))


@pytest.mark.long
async def test_a_node_killed_while_it_catches_up_goes_on_at_a_whole_block(tmp_path: Path) -> None:
    plan = SyncPlan(600, 20, 2, is_validator=False, folder=tmp_path / "bench")
    document = await measure_sync(plan, kills=5)
    assert document["blocks"] == 600
    with Environment.open(plan.folder / NEWCOMER / "chain.lmdb") as environment:
        newcomer = _everything(environment)
    with Environment.open(plan.folder / "archive-0" / "chain.lmdb") as environment:
        assert newcomer == _everything(environment)


def _everything(environment: Environment) -> list[dict[bytes, bytes]]:
    """Return all blocks, seals and records, and the tree over them."""
    tables = (Table.BLOCKS, Table.SEALS, Table.STATE, Table.NODES, Table.TRANSACTIONS)
    return environment.read(lambda each: [dict(each.items(table)) for table in tables])
