"""Bad input: one line on stderr, the documented code, never a traceback."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cli.main import run

MISSING_NODE = "/ip4/127.0.0.1/tcp/1/p2p/16Uiu2HAmNwsudEEsfQQkFdMkihj8ALeUmnSYhNQWcUk6UrsmW3mx"
ADDRESS = "pot18xhwh9h96k5z3wuk36nx3t3uhzt3n3rsvk3quc"


class Shell:
    """Runs command lines in this process, as `potp2p` would in its own."""

    def __init__(self, capture: pytest.CaptureFixture[str]) -> None:
        self.capture = capture

    def refuses(self, arguments: tuple[str, ...], code: int, text: str) -> str:
        self.capture.readouterr()
        assert run(list(arguments)) == code
        told = self.capture.readouterr()
        assert told.out == ""
        assert_one_line(told.err, text)
        return told.err


def assert_one_line(told: str, text: str) -> None:
    assert "Traceback" not in told, told
    assert told.count("\n") == 1, told
    assert told.startswith("potp2p: ")
    assert text in told


@pytest.fixture
def shell(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Shell:
    for name in list(os.environ):
        if name.startswith("POTP2P_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return Shell(capsys)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data folder with a wallet key and nothing else."""
    data = tmp_path / "node"
    data.mkdir()
    key = data / "wallet.key"
    key.write_text("11" * 32 + "\n")
    key.chmod(0o600)
    return tmp_path


QUICK = [
    (("--bogus",), 2, "No such option: --bogus"),
    (("nonsense",), 2, "No such command 'nonsense'"),
    (("start", "--role", "king"), 2, "--role"),
    (("status", "--datadir", "NODE"), 4, "no running node answers at"),
    (("init", "--no-input"), 2, "give --role and --bootstrap"),
    (("init", "--no-input", "--role", "miner"), 2, "give --bootstrap"),
    (("init", "--role", "miner", "--bootstrap", "nowhere", "--datadir", "NODE"), 3, "nowhere"),
    (
        ("init", "--role", "miner", "--bootstrap", MISSING_NODE, "--payout", "pot1x", "-d", "NODE"),
        3,
        "payout",
    ),
    (("explain", "contribution", "ab:1", "-d", "NODE"), 3, "'ab:1' is not TASK:ROUND:SHARD"),
    (("explain", "contribution", "ab:1:99999", "-d", "NODE"), 5, "that many rounds or shards"),
    (("explain", "contribution", "xyz:1:2", "-d", "NODE"), 3, "hex digits"),
    (("explain", "contribution", "ab:1:2", "-d", "NODE"), 2, "no way into a network"),
    (("explain", "miner", "-d", "NOWHERE"), 3, "no node lives here; give ADDRESS"),
    (("explain", "miner", "pot1wrong", "-d", "NODE"), 3, "address 'pot1wrong'"),
    (("verify", "contribution", "ab::2", "-d", "NODE"), 3, "is not TASK:ROUND:SHARD"),
    (
        ("verify", "contribution", "ab:1:2", "--challenge", "-d", "NOWHERE"),
        3,
        "potp2p wallet new makes one",
    ),
    (("verify", "task", "ab", "--rounds", "5:5", "-d", "NODE"), 3, "END is above FIRST"),
    (("verify", "task", "ab", "--rounds", "5", "-d", "NODE"), 3, "'5' is not FIRST:END"),
    (("verify", "task", "", "-d", "NODE"), 3, "hex digits"),
    (("start", "--datadir", "NODE"), 3, "run potp2p init first"),
    (("wallet", "new", "--datadir", "NODE"), 3, "exists already and is not overwritten"),
    (("wallet", "show", "--datadir", "NOWHERE"), 3, "potp2p wallet new makes one"),
    (("wallet", "send", ADDRESS, "1,5", "--datadir", "NODE"), 3, "'1,5' is not a decimal number"),
    (("wallet", "send", ADDRESS, "-1", "--datadir", "NODE"), 2, "No such option: -1"),
    (("wallet", "send", "pot1wrong", "1", "--datadir", "NODE"), 3, "address 'pot1wrong'"),
    (("wallet", "send", ADDRESS[:-1] + "d", "1", "-d", "NODE"), 3, "address"),
    (("wallet", "send", ADDRESS, "1", "--datadir", "NODE"), 2, "give --yes"),
    (("wallet", "send", ADDRESS, "1", "-y", "--datadir", "NODE"), 2, "give --bootstrap"),
    (("wallet", "send", ADDRESS, "1", "-y", "--fee", "x", "-d", "NODE"), 3, "amount 'x'"),
    (("wallet", "balance", "pot1wrong", "--datadir", "NODE"), 3, "address 'pot1wrong'"),
    (("task", "prepare", "--out", "OUT"), 3, "say --example"),
    (("task", "prepare", "--example", "digits", "--out", "NODE"), 3, "is not empty"),
    (("task", "prepare", "--example", "mnist", "--out", "OUT"), 2, "--example"),
    (("task", "submit", "OUT", "-y", "-d", "NODE"), 3, "no task.toml here"),
    (("task", "watch", "xyz", "--datadir", "NODE"), 3, "is not made of 1 to 64 hex digits"),
    (
        ("task", "watch", " " + "ab" * 31 + " ", "--datadir", "NODE"),
        3,
        "is not made of 1 to 64 hex digits",
    ),
    (("task", "fetch", "ab" * 32, "--datadir", "NODE"), 2, "--out"),
    (("certificate", "export", "0"), 2, "HEIGHT"),
    (("validator", "list", "-d", "OUT"), 2, "no way into a network"),
    (("validator", "list", "1"), 2, "unexpected extra argument"),
    (("validator", "bond", "1", "-y", "-d", "NODE"), 3, "give --validator ADDRESS"),
    (("validator", "bond", "1", "--validator", "pot1x", "-d", "NODE"), 3, "address 'pot1x'"),
    (("validator", "bond", "1,5", "--validator", ADDRESS, "-d", "NODE"), 3, "'1,5'"),
    (("validator", "bond", "1", "--validator", ADDRESS, "-d", "NODE"), 2, "give --yes"),
    (("validator", "bond", "1", "--validator", ADDRESS, "-yd", "NOWHERE"), 3, "no key here"),
    (("validator", "unbond", "1", "-y", "-d", "NODE"), 3, "no key here; give --key FILE"),
    (("validator", "unbond", "x", "-d", "NODE"), 3, "amount 'x'"),
    (("validator", "unbond", "0", "-d", "NODE"), 3, "amount '0': nothing"),
    (("validator", "bond", "0", "--validator", ADDRESS, "-d", "NODE"), 3, "amount '0': nothing"),
    (("validator", "unbond", "1", "--key", "NODE/wallet.key", "-d", "NODE"), 2, "give --yes"),
    (("validator", "unbond"), 2, "AMOUNT"),
    (("certificate", "verify", "OUT", "--datadir", "NODE"), 2, "give --genesis FILE"),
    (("chain", "genesis", "--genesis", "OUT"), 3, "no such genesis file"),
    (("chain", "genesis", "--genesis", "NODE/wallet.key"), 3, "not a genesis document"),
    (
        ("chain", "head", "-d", "NODE", "--bootstrap", MISSING_NODE, "--chain-id", "12"),
        3,
        "--chain-id",
    ),
    (("chain", "block", "0", "-d", "NODE"), 2, "HEIGHT"),
    (("chain", "block", "1", "-d", "OUT"), 2, "no way into a network"),
    (("chain", "snapshot", "-d", "OUT"), 2, "no way into a network"),
    (("devnet", "--validators", "0"), 3, "--validators 0: from 1 to 16"),
    (("devnet", "--miners", "99"), 3, "--miners 99: from 1 to 16"),
    (("devnet", "--rounds", "0"), 3, "--rounds 0"),
    (("devnet", "--adversary", "robber=1"), 3, "unknown adversary robber; there are: free-rider,"),
    (("devnet", "--adversary", "copier=0"), 3, "--adversary copier=0: write KIND=COUNT"),
    (("devnet", "--seed", "-1"), 3, "--seed -1"),
    (("devnet", "--text-dir", "/nowhere"), 3, "--text-dir /nowhere is not a folder"),
    (("devnet", "--datadir", "NODE"), 3, "is not an empty folder"),
]


@pytest.mark.parametrize(("arguments", "code", "text"), QUICK, ids=lambda each: str(each)[:60])
def test_bad_input_costs_one_line(
    arguments: tuple[str, ...], code: int, text: str, folder: Path, shell: Shell
) -> None:
    shell.refuses(tuple(placed(each, folder) for each in arguments), code, text)


def placed(argument: str, folder: Path) -> str:
    """Put real folders in the place of their names."""
    for name, place in (("NODE", "node"), ("NOWHERE", "nowhere"), ("OUT", "out")):
        if argument == name or argument.startswith(f"{name}/"):
            return str(folder / place) + argument.removeprefix(name)
    return argument


def test_wrong_key_in_the_configuration_is_named(folder: Path, shell: Shell) -> None:
    (folder / "node" / "config.toml").write_text('[network]\nbootstraps = ["x"]\n')

    shell.refuses(("start", "--datadir", str(folder / "node")), 3, "bootstraps")


def test_wrong_variable_in_the_environment_is_named(
    folder: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "node" / "config.toml").write_text('[node]\nrole = "miner"\n')
    monkeypatch.setenv("POTP2P_NODE__ROLE", "king")

    shell.refuses(("start", "--datadir", str(folder / "node")), 3, "POTP2P_NODE__ROLE")


def test_key_that_others_may_read_is_refused(folder: Path, shell: Shell) -> None:
    (folder / "node" / "wallet.key").chmod(0o644)

    shell.refuses(
        ("wallet", "show", "--datadir", str(folder / "node")), 3, "others may read this key"
    )


def test_configuration_without_genesis_says_what_to_do(folder: Path, shell: Shell) -> None:
    (folder / "node" / "config.toml").write_text(
        '[node]\nrole = "observer"\n[network]\nlisten = ["/ip4/127.0.0.1/tcp/0"]\n'
    )

    shell.refuses(
        ("start", "--datadir", str(folder / "node"), "--ui", "none"), 3, "run potp2p init first"
    )


def test_secret_is_never_shown(folder: Path, shell: Shell) -> None:
    (folder / "node" / "wallet.key").write_text("22" * 31 + "zz\n")

    told = shell.refuses(("wallet", "show", "--datadir", str(folder / "node")), 3, "not a key")

    assert "2222" not in told


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--bogus",), 2),
        (("wallet", "send", ADDRESS, "nan", "-y"), 3),
        (("status", "--datadir", "/nowhere"), 4),
    ],
    ids=str,
)
def test_process_ends_with_the_same_line_and_code(arguments: tuple[str, ...], code: int) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "cli.main", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        stdin=subprocess.DEVNULL,
    )

    assert_one_line(done.stderr, "")
    assert (done.returncode, done.stdout) == (code, "")
