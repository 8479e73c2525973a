"""
`task.toml`: what a client orders, in units that a person reads; exact rules come out of it.

Decimal numbers are read as decimals, never as floats, so that a file has one meaning everywhere.
"""

import tomllib
from collections.abc import Callable
from decimal import Decimal
from enum import IntEnum
from pathlib import Path
from typing import Final, TypeVar, cast

from potp2p.foundation.errors import ConfigurationError, PeerError
from potp2p.foundation.types import MicroNats
from potp2p.protocol.scheduling.rules import verify_rules
from potp2p.protocol.wire import schema
from potp2p.protocol.wire.tasks import (
    BatchRule,
    FinishRule,
    Mode,
    ModelRule,
    Objective,
    Optimizer,
    OptimizerRule,
    RoundRule,
    TaskRules,
    ToleranceClass,
)

TASK_FILE_BYTES_MAX: Final = 1 << 16
RATE_DIGITS: Final = 9
PPM_DIGITS: Final = 6
EPSILON_DIGITS: Final = 12
SECTIONS: Final = frozenset({"task", "model", "data", "batch", "optimizer", "rounds", "finish"})

Choice = TypeVar("Choice", bound=IntEnum)
Table = dict[str, object]


def read_rules(path: Path) -> TaskRules:
    """Return the rules a task file states; ConfigurationError names the key that is wrong."""
    rules = rules_from_tables(_read(path), path.name)
    try:
        verify_rules(rules)
        # Bounds of the wire are bounds of the file: a rule that cannot be sent is refused here.
        schema.decode(TaskRules, schema.encode(rules))
    except PeerError as error:
        raise ConfigurationError(f"{path.name}: {error.detail}") from error
    return rules


def read_budget(path: Path) -> int:
    """Return the budget in base units."""
    section = _Section(_read(path), "task", path.name)
    return section.decimal("budget", 9)


def rules_from_tables(tables: Table, name: str) -> TaskRules:
    """Build the rules from parsed TOML; every key is required and no other is allowed."""
    unknown = sorted(set(tables) - SECTIONS)
    if unknown:
        raise ConfigurationError(f"{name}: unknown section [{unknown[0]}]")
    task = _Section(tables, "task", name)
    data = _Section(tables, "data", name)
    rounds = _Section(tables, "rounds", name)
    rules = TaskRules(
        mode=task.choice("mode", Mode),
        seed=task.integer("seed"),
        model=_model(_Section(tables, "model", name)),
        batch=_batch(_Section(tables, "batch", name)),
        optimizer=_optimizer(_Section(tables, "optimizer", name)),
        rounds=RoundRule(
            rounds=rounds.integer("rounds"),
            shards=data.integer("shards"),
            shards_per_round=rounds.integer("shards_per_round"),
            deadline=rounds.integer("deadline"),
            attest_window=rounds.integer("attest_window"),
            result_deadline=rounds.integer("result_deadline"),
        ),
        finish=_finish(_Section(tables, "finish", name)),
    )
    task.text("name")
    task.decimal("budget", 9)
    for section in (task, data, rounds):
        section.finish()
    return rules


def render(rules: TaskRules, *, name: str, budget: int) -> str:
    """Return the text of a task file; `read_rules` gives the same rules back."""
    optimizer = rules.optimizer
    sections: dict[str, dict[str, str]] = {
        "task": {
            "name": f'"{name}"',
            "mode": f'"{rules.mode.name.lower()}"',
            "seed": str(rules.seed),
            "budget": _decimal(budget, 9),
        },
        "model": {
            "architecture": f'"{rules.model.architecture}"',
            "objective": f'"{rules.model.objective.name.lower()}"',
            "parameters": str(rules.model.parameters),
            "tolerance": f'"{rules.model.tolerance.name.lower()}"',
            "threads": str(rules.model.threads),
            "memory_bytes": str(rules.model.memory_bytes),
        },
        "data": {"shards": str(rules.rounds.shards)},
        "batch": {
            "steps": str(rules.batch.steps),
            "micro_batches": str(rules.batch.micro_batches),
            "micro_batch": str(rules.batch.micro_batch),
        },
        "optimizer": {
            "optimizer": f'"{optimizer.optimizer.name.lower()}"',
            "learning_rate": _decimal(optimizer.learning_rate, RATE_DIGITS),
            "learning_rate_final": _decimal(optimizer.learning_rate_final, RATE_DIGITS),
            "weight_decay": _decimal(optimizer.weight_decay, RATE_DIGITS),
            "beta1": _decimal(optimizer.beta1, PPM_DIGITS),
            "beta2": _decimal(optimizer.beta2, PPM_DIGITS),
            "epsilon": _decimal(optimizer.epsilon, EPSILON_DIGITS),
            "clip_ratio": str(optimizer.clip_ratio),
        },
        "rounds": {
            "rounds": str(rules.rounds.rounds),
            "shards_per_round": str(rules.rounds.shards_per_round),
            "deadline": str(rules.rounds.deadline),
            "attest_window": str(rules.rounds.attest_window),
            "result_deadline": str(rules.rounds.result_deadline),
        },
        "finish": {
            "min_passes": str(rules.finish.min_passes),
            "target_loss": _decimal(rules.finish.target_loss, PPM_DIGITS),
            "patience": str(rules.finish.patience),
        },
    }
    blocks = [
        "\n".join([f"[{section}]", *(f"{key} = {value}" for key, value in values.items())])
        for section, values in sections.items()
    ]
    return "\n\n".join(blocks) + "\n"


class _Section:
    """One table of the file; keys are taken once and what is left over is refused."""

    def __init__(self, tables: Table, section: str, name: str) -> None:
        value = tables.get(section)
        if not isinstance(value, dict):
            raise ConfigurationError(f"{name}: section [{section}] is missing")
        self._left = dict(cast("Table", value))
        self._where = f"{name}: {section}"

    def integer(self, key: str) -> int:
        value = self._take(key)
        if type(value) is not int or not 0 <= value < 1 << 48:
            raise self._wrong(key, "a whole number that is not negative", value)
        return value

    def decimal(self, key: str, digits: int) -> int:
        """Return a decimal number in units of 10^-digits; what does not fit them is refused."""
        value = self._take(key)
        if isinstance(value, bool) or not isinstance(value, int | Decimal):
            raise self._wrong(key, "a number", value)
        number = Decimal(value)
        if not number.is_finite() or number < 0 or number > 1 << 48:
            raise self._wrong(key, "a number from 0 up", value)
        scaled = number.scaleb(digits)
        if scaled != int(scaled):
            raise self._wrong(key, f"a number of at most {digits} decimal places", value)
        return int(scaled)

    def choice(self, key: str, kind: type[Choice]) -> Choice:
        value = self._take(key)
        names = {member.name.lower(): member for member in kind}
        if not isinstance(value, str) or value not in names:
            raise self._wrong(key, f"one of {', '.join(names)}", value)
        return names[value]

    def text(self, key: str) -> str:
        value = self._take(key)
        if not isinstance(value, str) or not value.isprintable() or not 0 < len(value) <= 64:
            raise self._wrong(key, "a short text", value)
        return value

    def finish(self) -> None:
        if self._left:
            raise ConfigurationError(f"{self._where}.{sorted(self._left)[0]} is not a known key")

    def _take(self, key: str) -> object:
        if key not in self._left:
            raise ConfigurationError(f"{self._where}.{key} is missing")
        return self._left.pop(key)

    def _wrong(self, key: str, expected: str, value: object) -> ConfigurationError:
        return ConfigurationError(f"{self._where}.{key} must be {expected}, not {value!s:.40}")


def _model(section: _Section) -> ModelRule:
    rule = ModelRule(
        architecture=section.text("architecture"),
        objective=section.choice("objective", Objective),
        parameters=section.integer("parameters"),
        tolerance=section.choice("tolerance", ToleranceClass),
        threads=section.integer("threads"),
        memory_bytes=section.integer("memory_bytes"),
    )
    section.finish()
    return rule


def _batch(section: _Section) -> BatchRule:
    rule = BatchRule(
        steps=section.integer("steps"),
        micro_batches=section.integer("micro_batches"),
        micro_batch=section.integer("micro_batch"),
    )
    section.finish()
    return rule


def _optimizer(section: _Section) -> OptimizerRule:
    rule = OptimizerRule(
        optimizer=section.choice("optimizer", Optimizer),
        learning_rate=section.decimal("learning_rate", RATE_DIGITS),
        learning_rate_final=section.decimal("learning_rate_final", RATE_DIGITS),
        weight_decay=section.decimal("weight_decay", RATE_DIGITS),
        beta1=section.decimal("beta1", PPM_DIGITS),
        beta2=section.decimal("beta2", PPM_DIGITS),
        epsilon=section.decimal("epsilon", EPSILON_DIGITS),
        clip_ratio=section.integer("clip_ratio"),
    )
    section.finish()
    return rule


def _finish(section: _Section) -> FinishRule:
    rule = FinishRule(
        min_passes=section.integer("min_passes"),
        target_loss=MicroNats(section.decimal("target_loss", PPM_DIGITS)),
        patience=section.integer("patience"),
    )
    section.finish()
    return rule


def _read(path: Path) -> Table:
    parse: Callable[[str], object] = Decimal
    try:
        with path.open("rb") as file:
            encoded = file.read(TASK_FILE_BYTES_MAX + 1)
        if len(encoded) > TASK_FILE_BYTES_MAX:
            raise ConfigurationError(f"{path.name} is larger than a task file may be")
        return cast("Table", tomllib.loads(encoded.decode(), parse_float=parse))
    except OSError as error:
        raise ConfigurationError(f"cannot read {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigurationError(f"{path.name} is not valid TOML: {error}") from error


def _decimal(units: int, digits: int) -> str:
    text = f"{Decimal(units).scaleb(-digits):f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return text if "." in text else f"{text}.0"
