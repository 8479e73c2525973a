"""A task file means one thing, and a bad value is named by its key."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from potp2p.foundation.errors import ConfigurationError
from potp2p.foundation.types import Amount
from potp2p.protocol.scheduling.task_text import TaskText, parse, render
from tests.protocol.scheduling.test_rules import GRADIENT, LOCAL, LOW_GRADIENT

TASK = TaskText("stripes", Amount(12_345_678_901), LOCAL)
TEXT = render(TASK)


@pytest.mark.parametrize("rules", [LOCAL, GRADIENT, LOW_GRADIENT])
def test_what_is_written_is_read_back_exactly(rules: object) -> None:
    task = replace(TASK, rules=rules)  # type: ignore[arg-type]
    assert parse(render(task), "task.toml") == task


@given(st.integers(1, 10**10), st.integers(0, 999_999), st.integers(10**6, 10**12))
def test_every_number_survives(rate: int, beta: int, epsilon: int) -> None:
    optimizer = replace(LOCAL.optimizer, learning_rate=rate, beta1=beta, epsilon=epsilon)
    task = replace(TASK, rules=replace(LOCAL, optimizer=optimizer))
    assert parse(render(task), "task.toml") == task


def test_numbers_are_written_as_a_person_reads_them() -> None:
    for line in ("budget = 12.345678901", "learning_rate = 0.005", "epsilon = 0.000001"):
        assert line in TEXT.splitlines()


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ('mode = "local"', 'mode = "compete"', "task.mode must be one of gradient, local"),
        ('mode = "local"', "", "task.mode is missing"),
        ("seed = 7", "seed = -7", "task.seed must be a whole number that is not negative, not -7"),
        ("seed = 7", "seed = true", "task.seed must be a whole number"),
        ("seed = 7", "seed = 7.5", "task.seed must be a whole number"),
        ("budget = 12.345678901", "budget = 0.0000000001", "at most 9 decimal places"),
        ("budget = 12.345678901", "budget = inf", "task.budget must be a number from 0 up"),
        ("budget = 12.345678901", "budget = nan", "task.budget must be a number from 0 up"),
        ("budget = 12.345678901", "budget = -1", "task.budget must be a number from 0 up"),
        ("budget = 12.345678901", "budget = 1e300", "task.budget must be a number from 0 up"),
        ("seed = 7", "seed = " + "7" * 5_000, "is not valid TOML"),
        ("budget = 12.345678901", "budget = 1e99999999999999999999", "is not valid TOML"),
        ("budget = 12.345678901", "budget = 1." + "0" * 40 + "1", "at most 9 decimal places"),
        ("budget = 12.345678901", 'budget = "1"', "task.budget must be a number, not 1"),
        ("seed = 7", "seed = 7\nsped = 8", "task.sped is not a known key"),
        ("[finish]", "[finnish]", "unknown section [finnish]"),
        ("[data]\nshards = 8\n", "", "section [data] is missing"),
        ("shards = 8", "shards = 99999999", "integer 99999999 is not below"),
        ("epsilon = 0.000001", "epsilon = 0.00000001", "below 1e-6"),
        ("[task]", "[task", "is not valid TOML"),
        ('name = "stripes"', 'name = "a\\u0000b"', "task.name must be a short text"),
    ],
)
def test_a_bad_value_is_one_line_that_names_it(before: str, after: str, message: str) -> None:
    assert before in TEXT
    with pytest.raises(ConfigurationError) as caught:
        parse(TEXT.replace(before, after, 1), "task.toml")
    assert message in str(caught.value)
    assert str(caught.value).startswith("task.toml")
    assert "\n" not in str(caught.value)


@given(st.text(max_size=200))
def test_any_text_is_a_task_or_a_configuration_error(text: str) -> None:
    with pytest.raises(ConfigurationError):
        parse(text, "task.toml")
