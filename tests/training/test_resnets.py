"""Orders for networks with ReLU and batch-norm."""

from dataclasses import replace

import numpy as np

from potp2p.protocol.scheduling.rules import verify_rules
from potp2p.protocol.wire.tasks import Mode
from potp2p.training.data import LABELS, PIXELS, samples_per_lease
from potp2p.training.resnets import CLASSES, IMAGES_PASSES, images_resnet


def test_every_segment_of_the_published_case_shows_several_classes() -> None:
    order = images_resnet(Mode.LOCAL, seed=1)
    for shard in order.shards:
        assert len(np.unique(shard[LABELS])) > CLASSES // 2


def test_a_lease_of_the_published_case_is_whole_passes_over_its_segment_and_may_be_ordered() -> (
    None
):
    for mode in Mode:
        order = images_resnet(mode, seed=1)
        model = replace(order.rules.model, parameters=23_528_522)
        verify_rules(replace(order.rules, model=model))
        assert samples_per_lease(order.rules) % len(order.shards[0][PIXELS]) == 0


def test_all_rounds_of_the_published_case_process_each_segment_ten_times() -> None:
    order = images_resnet(Mode.LOCAL, seed=1)
    rounds = order.rules.rounds
    assert rounds.rounds * rounds.shards_per_round == IMAGES_PASSES * rounds.shards
