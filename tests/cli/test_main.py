"""The shape of the command line: codes, causes, speed, and no command that never runs."""

import inspect
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from cli.exits import ExitCode, exit_code_of, line_of, root_cause
from cli.main import application, run
from cli.options import RoleChoice, ScreenChoice
from potp2p.foundation.errors import (
    ConfigurationError,
    FundsError,
    LockedError,
    MissingError,
    OperatingError,
    PeerError,
    RejectionReason,
    UnreachableError,
    UnsafeError,
)
from potp2p.foundation.version import VERSION
from potp2p.settings.configuration import RoleName, ScreenMode


def test_every_error_has_its_documented_code() -> None:
    kinds = (
        ConfigurationError,
        UnreachableError,
        MissingError,
        UnsafeError,
        FundsError,
        LockedError,
        OperatingError,
    )

    assert [exit_code_of(kind("x")) for kind in kinds] == [3, 4, 5, 6, 7, 8, 1]
    assert exit_code_of(AssertionError("ours")) is None


def test_what_a_peer_wrote_stays_one_printable_line() -> None:
    error = PeerError(RejectionReason.MALFORMED, "two\nlines \x1b[2J" + "x" * 1_000)

    line = line_of(error)

    assert line.isprintable()
    assert len(line) <= 400


def test_bug_hides_behind_no_expected_error() -> None:
    bug = AssertionError("ours")
    group = BaseExceptionGroup("nursery", [OperatingError("x"), ExceptionGroup("inner", [bug])])

    assert root_cause(group) is bug


def test_interruption_beats_what_it_caused() -> None:
    group = BaseExceptionGroup("nursery", [OperatingError("x"), KeyboardInterrupt()])

    assert isinstance(root_cause(group), KeyboardInterrupt)


def test_bare_command_says_how_to_begin(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == ExitCode.DONE

    assert "potp2p init" in capsys.readouterr().out


def test_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())

    assert run(["--version"]) == ExitCode.DONE

    assert project["project"]["version"] == VERSION
    assert capsys.readouterr().out == f"potp2p {VERSION}\n"


def commands(app: typer.Typer) -> Iterator[object]:
    for command in app.registered_commands:
        yield command.callback
    for group in app.registered_groups:
        assert group.typer_instance is not None
        yield from commands(group.typer_instance)


def test_no_command_is_a_coroutine_function() -> None:
    found = list(commands(application))

    assert len(found) >= 18
    assert not [each for each in found if inspect.iscoroutinefunction(each)]


def test_choices_are_those_of_the_configuration() -> None:
    assert list(RoleChoice) == list(RoleName)
    assert list(ScreenChoice) == list(ScreenMode)


def test_quick_command_imports_nothing_heavy(tmp_path: Path) -> None:
    program = (
        "import sys; from cli.main import run; "
        f"code = run(['status', '--datadir', {str(tmp_path)!r}]); "
        "heavy = {'torch', 'libp2p', 'trio', 'lmdb', 'transformers', 'coincurve'}; "
        "print(code, sorted(heavy & set(sys.modules)))"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, text=True, timeout=60
    )

    assert done.stdout == "4 []\n"
