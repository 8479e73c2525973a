"""
The text of `task.toml`: what a client orders, in units that a person reads.

Exact rules come out of it: decimal numbers are read as decimals, never as floats, so that a text
has one meaning everywhere. Reading the file is `settings/task_file.py`.
"""

import tomllib
from dataclasses import dataclass
from decimal import Decimal
from enum import IntEnum
from typing import Final, TypeVar, cast

from potp2p.foundation.errors import ConfigurationError, PeerError
from potp2p.foundation.types import Amount, MicroNats
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

POT_DIGITS: Final = 9
NAME_MAX: Final = 64
DIGITS_MAX: Final = 28
RATE_DIGITS: Final = 9
PPM_DIGITS: Final = 6
EPSILON_DIGITS: Final = 12
SECTIONS: Final = frozenset({"task", "model", "data", "batch", "optimizer", "rounds", "finish"})

Choice = TypeVar("Choice", bound=IntEnum)
Table = dict[str, object]


@dataclass(frozen=True, slots=True)
class TaskText:
    """What a task file says: the rules that go on chain, and what they may cost."""

    name: str
    budget: Amount
    rules: TaskRules


def parse(text: str, where: str) -> TaskText:
    """Return what a task file says; ConfigurationError names the key that is wrong."""
    try:
        tables = cast("Table", tomllib.loads(text, parse_float=Decimal))
    except (ValueError, ArithmeticError, RecursionError) as error:
        # Also a number of thousands of digits, or one whose exponent has a dozen.
        raise ConfigurationError(f"{where} is not valid TOML: {error}") from error
    parsed = _from_tables(tables, where)
    try:
        verify_rules(parsed.rules)
        # Bounds of the wire are bounds of the file: a rule that cannot be sent is refused here.
        schema.decode(TaskRules, schema.encode(parsed.rules))
    except PeerError as error:
        raise ConfigurationError(f"{where}: {error.detail}") from error
    return parsed


def _from_tables(tables: Table, where: str) -> TaskText:
    """Build the rules from parsed TOML; every key is required and no other is allowed."""
    unknown = sorted(set(tables) - SECTIONS)
    if unknown:
        raise ConfigurationError(f"{where}: unknown section [{unknown[0]:.40}]")
    task = _Section(tables, "task", where)
    data = _Section(tables, "data", where)
    rounds = _Section(tables, "rounds", where)
    parsed = TaskText(
        name=task.text("name"),
        budget=Amount(task.decimal("budget", POT_DIGITS)),
        rules=TaskRules(
            mode=task.choice("mode", Mode),
            seed=task.integer("seed"),
            model=_model(_Section(tables, "model", where)),
            batch=_batch(_Section(tables, "batch", where)),
            optimizer=_optimizer(_Section(tables, "optimizer", where)),
            rounds=RoundRule(
                rounds=rounds.integer("rounds"),
                shards=data.integer("shards"),
                shards_per_round=rounds.integer("shards_per_round"),
                deadline=rounds.integer("deadline"),
                attest_window=rounds.integer("attest_window"),
                result_deadline=rounds.integer("result_deadline"),
            ),
            finish=_finish(_Section(tables, "finish", where)),
        ),
    )
    for section in (task, data, rounds):
        section.finish()
    return parsed


def render(task: TaskText) -> str:
    """Return the text of a task file; `parse` gives the same task back."""
    rules, optimizer = task.rules, task.rules.optimizer
    sections: dict[str, dict[str, str]] = {
        "task": {
            "name": f'"{task.name}"',
            "mode": f'"{rules.mode.name.lower()}"',
            "seed": str(rules.seed),
            "budget": _decimal(task.budget, POT_DIGITS),
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
        if not number.is_finite() or not 0 <= number <= 1 << 48:
            raise self._wrong(key, "a number from 0 up", value)
        # More digits than the decimal context keeps would be rounded without a word.
        scaled = number.scaleb(digits)
        if len(number.as_tuple().digits) > DIGITS_MAX or scaled != int(scaled):
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
        if not isinstance(value, str) or not value.isprintable() or not 0 < len(value) <= NAME_MAX:
            raise self._wrong(key, "a short text", value)
        return value

    def finish(self) -> None:
        if self._left:
            raise ConfigurationError(f"{self._where}.{min(self._left)} is not a known key")

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


def _decimal(units: int, digits: int) -> str:
    text = f"{Decimal(units).scaleb(-digits):f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return text if "." in text else f"{text}.0"
