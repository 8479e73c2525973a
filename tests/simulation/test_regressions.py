"""Seeds that once broke a rule or went in circles, and what was wrong; none is ever left out."""

import pytest

from potp2p.simulation.plans import Choices
from potp2p.simulation.run import run_seed

FAILED = {
    13: "a boaster that fell silent made a follower ask the others for old blocks without end",
}


@pytest.mark.parametrize("seed", FAILED, ids=FAILED.get)
def test_seed_that_failed_once_is_sound(seed: int) -> None:
    report = run_seed(seed, Choices())
    assert report.violations == ()
    assert report.converge_seconds is not None
