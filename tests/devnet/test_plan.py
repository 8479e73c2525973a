"""What a local network may be, and what a seed fixes."""

import stat
from dataclasses import replace
from pathlib import Path

import pytest

from potp2p.devnet.genesis import genesis_document
from potp2p.devnet.layout import lay_out, write_configuration, write_folders
from potp2p.devnet.plan import Plan, parse_adversaries, verify_plan
from potp2p.foundation.errors import ConfigurationError
from potp2p.settings.configuration import load_configuration
from potp2p.settings.keys import load_key


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return Plan("digits", "gradient", 4, 3, None, 11, tmp_path / "out", tmp_path / "net")


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"example": "mnist"}, "--example"),
        ({"mode": "compete"}, "--mode"),
        ({"validators": 0}, "--validators 0: from 1 to 16"),
        ({"validators": 17}, "--validators 17"),
        ({"miners": 0}, "--miners 0"),
        ({"rounds": 0}, "--rounds 0"),
        ({"seed": -1}, "--seed -1"),
        ({"seed": 1 << 48}, "--seed"),
        ({"text_dir": Path("/nowhere")}, "--text-dir"),
    ],
    ids=str,
)
def test_network_that_cannot_be_is_refused_in_one_line(
    change: dict[str, object], text: str, plan: Plan
) -> None:
    with pytest.raises(ConfigurationError, match=text) as caught:
        verify_plan(replace(plan, **change))  # type: ignore[arg-type]

    assert "\n" not in str(caught.value)


def test_folder_with_content_is_refused(plan: Plan) -> None:
    plan.folder.mkdir()
    (plan.folder / "chain").touch()

    with pytest.raises(ConfigurationError, match="not an empty folder"):
        verify_plan(plan)


def test_seed_fixes_the_genesis_whatever_the_number_of_miners(plan: Plan) -> None:
    fewer = replace(plan, miners=2)

    assert genesis_document(plan, lay_out(plan)) == genesis_document(fewer, lay_out(fewer))


def test_another_seed_is_another_network(plan: Plan) -> None:
    other = replace(plan, seed=12)

    assert genesis_document(plan, lay_out(plan)) != genesis_document(other, lay_out(other))


def test_keys_without_a_seed_are_fresh(plan: Plan) -> None:
    fresh = replace(plan, seed=None)

    first, second = lay_out(fresh), lay_out(fresh)

    keys = [each.keys.secret for layout in (first, second) for each in layout.members]
    assert len(set(keys)) == len(keys)


def test_nodes_find_their_files(plan: Plan) -> None:
    layout = lay_out(plan)
    write_folders(layout, b"genesis")
    address = "/ip4/127.0.0.1/tcp/9/p2p/16Uiu2HAmNwsudEEsfQQkFdMkihj8ALeUmnSYhNQWcUk6UrsmW3mx"
    miner = layout.miners[0]
    write_configuration(miner, address)

    configuration = load_configuration(miner.folder / "config.toml")

    assert configuration.network.bootstrap == (address,)
    assert configuration.node.role == "miner"
    assert load_key(miner.folder / "identity.key") == miner.keys.secret
    assert load_key(layout.client.folder / "wallet.key") == layout.client.keys.secret
    assert stat.S_IMODE((miner.folder / "identity.key").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("texts", "complaint"),
    [
        (("robber=1",), "unknown adversary robber; there are: free-rider, "),
        (("free-rider=0",), "--adversary free-rider=0: write KIND=COUNT"),
        (("free-rider=many",), "--adversary free-rider=many: write KIND=COUNT"),
        (("lazy-auditor=2",), "--adversary: 2 of 4 validators would cheat; .* bears 1"),
        (("lazy-auditor", "colluding-pair"), "--adversary: 2 of 4 validators would cheat"),
        (("copier=1000",), "--adversary: 1003 miners, at most"),
        (("copier=" + "9" * 5000,), "--adversary copier=9{20}: write KIND=COUNT"),
        (("data-withholding-client=100000000",), "a network has one such client"),
    ],
)
def test_adversaries_that_cannot_be_are_refused_in_one_line(
    texts: tuple[str, ...], complaint: str, plan: Plan
) -> None:
    with pytest.raises(ConfigurationError, match=complaint) as caught:
        verify_plan(replace(plan, adversaries=parse_adversaries(texts)))

    assert "\n" not in str(caught.value)


def test_adversaries_join_the_miners_and_take_the_last_seats(plan: Plan) -> None:
    kinds = ("free-rider=2", "lazy-auditor", "self-dealing-client")
    layout = lay_out(replace(plan, adversaries=parse_adversaries(kinds)))

    assert [each.kind for each in layout.validators] == [None, None, None, "lazy-auditor"]
    assert [each.name for each in layout.miners[3:]] == [
        "free-rider-1",
        "free-rider-2",
        "self-dealing-client-1",
    ]
    assert len(layout.purses) == 1
    honest = lay_out(plan)
    assert [each.keys for each in honest.validators] == [each.keys for each in layout.validators]
