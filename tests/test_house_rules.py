"""House rules the linters cannot say: sizes, front doors, banned words, mirrored tests."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parent.parent
SOURCES: Final = sorted(
    path for top in ("potp2p", "cli", "bootstrap") for path in (ROOT / top).rglob("*.py")
)
TESTS: Final = sorted((ROOT / "tests").rglob("*.py"))
MODULE_LINES_AIM: Final = 400
FUNCTION_LINES_AIM: Final = 60
REASONS: dict[str, str] = {
    "potp2p/services/consensus.py": "one arm per input and effect: a replica's whole life",
}
"""Why something larger reads better whole, by path or path::function."""

BANNED: Final = {
    "FIXME": "finish it before it lands",
    "TODO": "finish it before it lands",
    "except Exception": "name the error, or let it reach the nursery",
    "except:": "name the error, or let it reach the nursery",
    "import *": "name what you use",
    "abandon_on_cancel=True": "a thread we cannot stop must not be forgotten",
    "trio.sleep(0)": "use trio.lowlevel.checkpoint() and say why",
    "trust_remote_code=True": "never code from a peer",
    "torch.load(": "never unpickle: safetensors only",
    "allow_pickle=True": "never unpickle",
    "shell=True": "start programs by arguments",
}
BANNED_IN_TESTS: Final = {
    "unittest.mock": "write a fake in tests/doubles",
    "MagicMock": "write a fake in tests/doubles",
    "pytest.mark.skip(": "finish or delete it",
}
SLEEPS: Final[dict[str, str]] = {
    "tests/cli/test_simulate.py": "looks for a worker among real processes, which announce nothing",
    "tests/devnet/test_run.py": "polls real processes, which tell nobody that they have ended",
    "tests/doubles/devnet_programs.py": "stands in for a training that takes its time",
    "tests/end_to_end/test_devnet.py": "polls a network of real processes from outside",
    "tests/end_to_end/test_full_disk.py": "polls a node that fills its disk from outside",
    "tests/ui/test_dashboard.py": "polls a pseudo-terminal, which has nothing to wait on",
    "tests/workers/fake_worker.py": "the hanging worker hangs",
}
"""Why a test sleeps, by path; all others wait for an event."""
LAST_RESORTS: Final = frozenset({"bootstrap/main.py", "cli/main.py"})
"""Entry points, which turn what ended the nursery into an exit code."""
NAMES_WITHOUT_MEANING: Final = frozenset(
    {"utils.py", "util.py", "common.py", "base.py", "manager.py", "core.py", "misc.py"}
)


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def oversize() -> Iterator[str]:
    for path in SOURCES:
        text = path.read_text()
        if text.count("\n") > MODULE_LINES_AIM:
            yield name_of(path)
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                end_line = node.end_lineno or node.lineno
                if end_line - node.lineno + 1 > FUNCTION_LINES_AIM:
                    yield f"{name_of(path)}::{node.name}"


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_module_keeps_the_house_rules(path: Path) -> None:
    text = path.read_text()

    assert ast.get_docstring(ast.parse(text)), "say what this module holds"
    assert [f"{word}: {advice}" for word, advice in BANNED.items() if word in text] == []
    assert path.name not in NAMES_WITHOUT_MEANING, "name the noun it holds"


@pytest.mark.parametrize("path", TESTS, ids=name_of)
def test_test_keeps_the_house_rules(path: Path) -> None:
    text = path.read_text()
    if path == Path(__file__):
        return
    assert [f"{word}: {advice}" for word, advice in BANNED_IN_TESTS.items() if word in text] == []


def test_nothing_sleeps_to_synchronise_without_a_reason() -> None:
    sleepers = [
        name_of(path)
        for path in TESTS
        if path != Path(__file__) and re.search(r"\btime\.sleep\(", path.read_text())
    ]
    assert sleepers == sorted(SLEEPS), "wait for an event, or keep a reason as long as it sleeps"


def test_only_entry_points_catch_whatever_ended_the_nursery() -> None:
    everything = re.compile(r"except\s*\*|except\s*\(?\s*BaseException\b")
    catchers = [name_of(path) for path in SOURCES if everything.search(path.read_text())]

    assert sorted(set(catchers) - LAST_RESORTS) == []


@pytest.mark.parametrize(
    "door", [path for path in SOURCES if path.name == "__init__.py"], ids=name_of
)
def test_package_front_door_is_empty(door: Path) -> None:
    tree = ast.parse(door.read_text())
    assert [type(node).__name__ for node in tree.body] == ["Expr"], "docstring only: no re-exports"


def test_size_beyond_the_aim_has_a_reason() -> None:
    assert sorted(oversize()) == sorted(REASONS), "split it, or keep a reason here as long as it is"


def test_every_package_with_modules_has_a_front_door() -> None:
    folders = {path.parent for path in [*SOURCES, *TESTS]}

    assert [name_of(each) for each in sorted(folders) if not (each / "__init__.py").is_file()] == []


@pytest.mark.parametrize(
    "path", [path for path in SOURCES if "potp2p/protocol" in name_of(path)], ids=name_of
)
def test_no_float_enters_the_protocol(path: Path) -> None:
    floats = [
        node.lineno
        for node in ast.walk(ast.parse(path.read_text()))
        if (isinstance(node, ast.Constant) and isinstance(node.value, float))
        or (isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div))
        or (isinstance(node, ast.Name) and node.id == "float")
    ]
    assert floats == [], "integers only: floats differ between machines"


@pytest.mark.parametrize(
    "path",
    [path for path in TESTS if path.name.startswith("test_") and path.parent != ROOT / "tests"],
    ids=name_of,
)
def test_tests_stand_where_their_source_stands(path: Path) -> None:
    folder = path.parent.relative_to(ROOT / "tests").as_posix()
    rooms = ("conformance", "doubles", "end_to_end", "fuzz", "mutants", "simulation", "devices")
    if folder.split("/")[0] in rooms:
        return
    assert (ROOT / "potp2p" / folder).is_dir() or (ROOT / folder).is_dir(), "mirror the source"


def test_test_names_are_sentences() -> None:
    short = [
        f"{name_of(path)}::{name}"
        for path in TESTS
        for name in re.findall(r"def (test_\w+)", path.read_text())
        if name.count("_") < 3
    ]
    assert short == [], "say what would be false if it failed"


def test_version_is_said_once_and_the_changelog_knows_it() -> None:
    project = (ROOT / "pyproject.toml").read_text()
    version = re.search(r'^version = "([^"]+)"', project, re.MULTILINE)

    assert version is not None
    assert f"## {version[1]}" in (ROOT / "CHANGELOG.md").read_text()


def test_constraints_pin_every_dependency_exactly() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]

    assert [pin for pin in pins if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", pin)] == []
    assert "torch==2.13.0" in pins
    assert "libp2p==0.8.1" in pins
