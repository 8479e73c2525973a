"""What a started node holds is left out of later collections."""

import gc
from collections.abc import Iterator

import pytest

from potp2p.node.garbage import YOUNG_MAX, settle_garbage


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*before)


def test_what_is_there_is_not_walked_again_and_what_comes_is() -> None:
    settle_garbage()

    assert gc.get_freeze_count() > 1_000
    assert gc.get_threshold()[0] == YOUNG_MAX
    assert gc.isenabled()
    circle: list[object] = []
    circle.append(circle)
    del circle
    assert gc.collect() >= 1
