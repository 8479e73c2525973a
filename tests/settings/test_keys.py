"""Key files: private, whole, never overwritten, and silent about what they hold."""

import os
from pathlib import Path

import pytest

from potp2p.foundation.errors import ConfigurationError
from potp2p.protocol.crypto.identity import KeyPair
from potp2p.settings.keys import create_key, load_key, load_or_create_identity

SECRET = b"\x11" * 32


def write(path: Path, content: bytes, mode: int = 0o600) -> None:
    path.write_bytes(content)
    path.chmod(mode)


def test_identity_is_made_once_and_is_only_the_owners(tmp_path: Path) -> None:
    path = tmp_path / "new" / "identity.key"
    secret = load_or_create_identity(path)

    assert load_or_create_identity(path) == load_key(path) == secret
    assert KeyPair.from_secret(secret).secret == secret
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o077 == 0
    assert os.listdir(path.parent) == ["identity.key"]


def test_two_keys_are_not_the_same(tmp_path: Path) -> None:
    assert create_key(tmp_path / "one") != create_key(tmp_path / "two")


def test_given_secret_is_written_as_hex(tmp_path: Path) -> None:
    create_key(tmp_path / "key", SECRET)

    assert (tmp_path / "key").read_text() == SECRET.hex() + "\n"
    assert load_key(tmp_path / "key") == SECRET


def test_existing_key_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "key"
    create_key(path, SECRET)

    with pytest.raises(ConfigurationError, match="exists already and is not overwritten"):
        create_key(path)
    assert load_key(path) == SECRET
    assert os.listdir(tmp_path) == ["key"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o622, 0o777])
def test_key_that_others_may_touch_is_refused_with_the_cure(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "key"
    write(path, SECRET.hex().encode(), mode)

    with pytest.raises(ConfigurationError) as caught:
        load_key(path)
    assert str(caught.value) == f"{path}: others may read this key; run: chmod 600 {path}"


@pytest.mark.parametrize(
    "content",
    [
        b"", b"\n", SECRET, SECRET.hex()[:-1].encode(), SECRET.hex().encode() + b"\n\n",
        SECRET.hex().encode() * 2, b"zz" * 32, b"00" * 32, b"ff" * 32, "é".encode() * 32,
        b" " + SECRET.hex()[1:].encode(), (SECRET.hex()[:62] + " 1").encode(), bytes(1 << 16),
    ],
)  # fmt: skip
def test_file_that_holds_no_key_is_refused_without_showing_it(
    tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "key"
    write(path, content)

    with pytest.raises(ConfigurationError) as caught:
        load_or_create_identity(path)
    assert str(caught.value) == (
        f"{path}: not a key: 64 hex digits of a secp256k1 secret belong here"
    )


def test_missing_folder_link_and_pipe_are_one_clear_line(tmp_path: Path) -> None:
    write(tmp_path / "key", SECRET.hex().encode())
    (tmp_path / "link").symlink_to(tmp_path / "key")
    os.mkfifo(tmp_path / "pipe", 0o600)

    for name, complaint in (
        ("none", "cannot read the key: No such file"),
        ("link", "cannot read the key: Too many levels of symbolic links"),
        ("pipe", "not a key file"),
        (".", "not a key file"),
    ):
        with pytest.raises(ConfigurationError, match=complaint):
            load_key(tmp_path / name)


def test_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(ConfigurationError, match="file: cannot make: File exists"):
        load_or_create_identity(tmp_path / "file" / "key")
