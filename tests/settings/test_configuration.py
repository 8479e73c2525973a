"""The operator's configuration: precedence, refusals in one line, and its own text read back."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from potp2p.foundation.errors import ConfigurationError
from potp2p.foundation.types import POT, AccountId, Digest, Height, TrustedCheckpoint
from potp2p.protocol.crypto.identity import encode_address
from potp2p.settings.configuration import (
    Configuration,
    RoleName,
    ScreenMode,
    load_configuration,
    render_configuration,
)
from potp2p.settings.paths import node_paths

ADDRESS = encode_address(AccountId(bytes(range(20))))
PEER = "/ip4/127.0.0.1/tcp/4001/p2p/16Uiu2HAm9sJMBQGXN7vNEYdrGQZyT2aHkVjEkG5ceJyKjkZHr1cB"

FULL = f"""
[node]
name = "rig-1"
role = "miner"

[network]
listen = ["/ip4/0.0.0.0/tcp/0", "/ip6/::1/tcp/27680"]
bootstrap = ["{PEER}"]
mdns = true

[miner]
devices = ["cpu", "cuda:0"]
payout_address = "{ADDRESS}"
min_pay = "0.25"

[ui]
mode = "plain"
ascii = true
"""


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(text)
    return path


def complaint_about(tmp_path: Path, text: str) -> str:
    path = write(tmp_path, text)
    with pytest.raises(ConfigurationError) as caught:
        load_configuration(path)
    message = str(caught.value)
    assert "\n" not in message
    return message.removeprefix(str(path) + ": ")


def test_file_is_read_whole(tmp_path: Path) -> None:
    configuration = load_configuration(write(tmp_path, FULL))

    assert configuration.node.role is RoleName.MINER
    assert configuration.network.listen == ("/ip4/0.0.0.0/tcp/0", "/ip6/::1/tcp/27680")
    assert configuration.network.bootstrap == (PEER,)
    assert configuration.network.mdns is True
    assert configuration.miner.devices == ("cpu", "cuda:0")
    assert configuration.payout == bytes(range(20))
    assert configuration.lowest_price == POT // 4
    assert configuration.ui.mode is ScreenMode.PLAIN


def test_missing_or_empty_file_means_defaults(tmp_path: Path) -> None:
    assert load_configuration(tmp_path / "none") == Configuration()
    assert load_configuration(write(tmp_path, "")) == Configuration()
    assert Configuration().payout is None
    assert Configuration().lowest_price == 0


def test_rendered_text_reads_as_the_same_configuration(tmp_path: Path) -> None:
    configuration = load_configuration(write(tmp_path, FULL))

    for each in (configuration, Configuration()):
        assert load_configuration(write(tmp_path, render_configuration(each))) == each


def test_flag_goes_over_environment_over_file_over_default(tmp_path: Path) -> None:
    path = write(tmp_path, '[node]\nname = "file"\nrole = "miner"\n[miner]\nmin_pay = "1"\n')
    environment = {"POTP2P_NODE__NAME": "variable", "POTP2P_NODE__ROLE": "validator"}
    configuration = load_configuration(
        path, environment=environment, flags={"node.name": "flag", "network.listen": ()}
    )

    assert configuration.node.name == "flag"
    assert configuration.node.role is RoleName.VALIDATOR
    assert configuration.miner.min_pay == "1"
    assert configuration.network.listen == ()


def test_variables_are_read_as_the_kind_of_their_key(tmp_path: Path) -> None:
    environment = {
        "POTP2P_NETWORK__LISTEN": "/ip4/127.0.0.1/tcp/1, /ip4/127.0.0.1/tcp/2",
        "POTP2P_NETWORK__MDNS": "TRUE",
        "POTP2P_UI__ASCII": "0",
        "POTP2P_NODE__DISK_QUOTA_MIB": "2048",
        "POTP2P_MINER__DEVICES": "",
        "POTP2P_PASSWORD_FILE": "not a key of ours",
        "HOME": "/",
    }
    configuration = load_configuration(tmp_path / "none", environment=environment)

    assert configuration.network.listen == ("/ip4/127.0.0.1/tcp/1", "/ip4/127.0.0.1/tcp/2")
    assert configuration.network.mdns is True
    assert configuration.ui.ascii is False
    assert configuration.node.disk_quota_mib == 2_048
    assert configuration.miner.devices == ()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[node", "not TOML: "),
        ("[nodes]", "unknown section nodes; did you mean node?"),
        ("node = 1", "node is a section: write [node]"),
        ('[network]\nlisten_on = "x"', "unknown key network.listen_on; did you mean listen?"),
        ("[node]\nzzz = 1", "unknown key node.zzz; known are name, role"),
        ("[node]\ndisk_quota_mib = 255", "node.disk_quota_mib: input should be greater than"),
        ('[node]\ndisk_quota_mib = "9"', "node.disk_quota_mib: input should be a valid integer"),
        ("[node]\nname = 1", "node.name: input should be a valid string"),
        ('[node]\nname = "a b"', "node.name: 'a b' is not a name of up to 32 letters"),
        ('[node]\nname = "../x"', "node.name: '../x' is not a name"),
        ('[node]\nrole = "king"', "node.role: input should be 'miner', 'validator' or 'observer'"),
        ("[network]\nmdns = 1", "network.mdns: input should be a valid boolean"),
        ('[network]\nmdns = "yes"', "network.mdns: input should be a valid boolean"),
        ('[network]\nlisten = "/ip4/1.2.3.4/tcp/1"', "network.listen: "),
        ("[network]\nlisten = [1]", "network.listen: input should be a valid string"),
        ('[network]\nlisten = ["localhost:1"]', "network.listen: 'localhost:1' is not an address"),
        ('[network]\nlisten = ["/ip4/1.2.3.4/tcp/65536"]', "network.listen: '/ip4/1.2.3.4/tcp/65"),
        ('[network]\nbootstrap = ["/ip4/1.2.3.4/tcp/1"]', "network.bootstrap: '/ip4/1.2.3.4/tcp/1"),
        ('[network]\ncheckpoint = "7"', "network.checkpoint: '7' is not HEIGHT:HASH"),
        (f'[network]\ncheckpoint = "0:{"0" * 64}"', "network.checkpoint: '0:000"),
        (f'[network]\ncheckpoint = "{1 << 48}:{"0" * 64}"', "network.checkpoint: '2814"),
        (f'[network]\ncheckpoint = "7:{"g" * 64}"', "network.checkpoint: '7:ggg"),
        ('[miner]\ndevices = ["cuda"]', "miner.devices: 'cuda' is not a device"),
        ("[miner]\nmin_pay = 0.5", "miner.min_pay: input should be a valid string"),
        ('[miner]\nmin_pay = "-1"', "miner.min_pay: amount '-1' is not a decimal number"),
        ('[miner]\npayout_address = "pot1x"', "miner.payout_address: 'pot1x' is not an address: "),
        ("x = '" + "y" * (1 << 16) + "'", "larger than 65536 bytes"),
    ],
)
def test_bad_file_is_one_line_with_the_key_in_it(tmp_path: Path, text: str, complaint: str) -> None:
    assert complaint_about(tmp_path, text).startswith(complaint)


def test_file_that_is_not_text_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigurationError, match="not TOML"):
        load_configuration(path)
    with pytest.raises(ConfigurationError, match="cannot read: Is a directory"):
        load_configuration(tmp_path)


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        ("POTP2P_NODE__NAM", "x", "POTP2P_NODE__NAM: unknown key node.nam; did you mean name?"),
        ("POTP2P_NOD__NAME", "x", "POTP2P_NOD__NAME: unknown section nod; did you mean node?"),
        ("POTP2P_UI__ASCII", "maybe", "POTP2P_UI__ASCII: ui.ascii: input should be a valid boo"),
        ("POTP2P_MINER__MIN_PAY", "x\ny", "POTP2P_MINER__MIN_PAY: miner.min_pay: amount 'x\\ny'"),
    ],
)
def test_bad_variable_is_named(tmp_path: Path, name: str, value: str, complaint: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_configuration(tmp_path / "none", environment={name: value})
    assert str(caught.value).startswith(complaint)
    assert "\n" not in str(caught.value)


def test_bad_flag_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"^--min-pay: miner.min_pay: amount 'x'"):
        load_configuration(tmp_path / "none", flags={"miner.min_pay": "x"})


def test_configuration_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Configuration().node.name = "other"  # type: ignore[misc]


def test_data_folder_moves_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    moved = node_paths(tmp_path)
    assert moved.configuration == tmp_path / "config.toml"
    assert {moved.identity.parent, moved.genesis.parent, moved.status_socket.parent} == {tmp_path}

    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    usual = node_paths(network="testnet")
    assert usual.data == tmp_path / "share" / "potp2p" / "testnet"
    assert usual.configuration == tmp_path / "config" / "potp2p" / "config.toml"


def test_checkpoint_is_read_as_height_and_hash(tmp_path: Path) -> None:
    flags = {"network.checkpoint": f"4200:{'ab' * 32}"}
    found = load_configuration(tmp_path / "none", flags=flags).checkpoint
    assert found == TrustedCheckpoint(Height(4_200), Digest(b"\xab" * 32))
    assert load_configuration(tmp_path / "none").checkpoint is None
