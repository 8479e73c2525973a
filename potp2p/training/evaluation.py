"""Mean loss and accuracy of a checkpoint: a float forward pass, agreed on by median."""

from typing import Final

import numpy as np
import torch

from potp2p.foundation.types import PartsPerMillion
from potp2p.protocol.wire.tasks import Objective, TaskRules
from potp2p.training.checkpoint import Checkpoint
from potp2p.training.data import Samples
from potp2p.training.fixed_point import micro_nats
from potp2p.training.model import Model
from potp2p.training.reports import Evaluated
from potp2p.training.step import StepDone, mean_loss

BATCH_SAMPLES_MAX: Final = 256
"""Forward passes keep no activations: a few hundred samples fit where a lease fits."""


def evaluate(
    model: Model,
    checkpoint: Checkpoint,
    rules: TaskRules,
    samples: Samples,
    step_done: StepDone,
) -> Evaluated:
    """Measure a checkpoint on every sample of a data file."""
    torch.set_num_threads(max(1, rules.model.threads))
    model.verify_samples(samples)
    model.load(checkpoint)
    batch = min(BATCH_SAMPLES_MAX, 4 * rules.batch.micro_batch)
    indices = np.arange(samples.count, dtype=np.int64)
    loss, right = mean_loss(model, samples, indices, batch, step_done)
    accuracy: PartsPerMillion | None = None
    if rules.model.objective is Objective.CLASSIFY:
        accuracy = PartsPerMillion(right * 10**6 // samples.count)
    return Evaluated(micro_nats(loss), accuracy)
