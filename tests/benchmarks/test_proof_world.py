"""A whole network with adversaries and real training; minutes, so only on request."""

from typing import cast

import pytest

from potp2p.benchmarks.proof_world import WorldPlan, play
from potp2p.simulation.adversaries.kinds import Kind

Document = dict[str, object]


@pytest.mark.long
def test_real_training_convicts_every_cheat_and_no_honest_miner_and_repeats_itself() -> None:
    kinds = (Kind.FREE_RIDER, Kind.HALF_WORK, Kind.NOISE, Kind.FALSE_LOSS)
    plan = WorldPlan(
        name="long",
        kinds=tuple(str(kind) for kind in kinds),
        rounds=3,
        honest=3,
        audit_rate=1_000_000,
        ban_blocks=5,
        bond=20,
        subsidy_floor=0,
        processes=2,
    )
    found = play(plan)
    assert found["status"] == "FINISHED"
    assert found["is_money_conserved"] is True
    for row in cast("list[Document]", found["rows"]):
        if row["kind"] is not None:
            assert cast("int", row["tested"]) > 0, row
            assert row["caught"] == row["tested"], row
            assert cast("int", row["gain"]) < 0, row
        elif row["place"] == "miner":
            assert row["rejected"] == 0, row
    again = play(plan)
    assert again["rows"] == found["rows"], "the clock of the machine got into the run"
