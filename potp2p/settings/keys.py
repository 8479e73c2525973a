"""Key files: one secret as 64 hex digits in a file that only its owner may read."""

import os
import re
import secrets
import stat
from pathlib import Path
from typing import Final

from potp2p.foundation.errors import ConfigurationError
from potp2p.protocol.crypto.identity import SECRET_BYTES, is_secret

IDENTITY_FILE: Final = "identity.key"
SAFETY_RECORD: Final = Path("validator") / "state"
"""What the node's key signed last, below its data folder."""
KEY_FILE_BYTES: Final = 2 * SECRET_BYTES + 1
"""Hex and a newline."""
_HEX: Final = re.compile(f"[0-9a-fA-F]{{{2 * SECRET_BYTES}}}", re.ASCII)
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


def load_key(path: Path) -> bytes:
    """Return the secret of a key file; ConfigurationError when it cannot be trusted as it is."""
    try:
        # No symbolic link: the mode that counts is that of the file we were told to use.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot read the key: {error.strerror}") from error
    try:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            raise ConfigurationError(f"{path}: not a key file")
        if facts.st_mode & _OTHERS:
            raise ConfigurationError(f"{path}: others may read this key; run: chmod 600 {path}")
        written = os.read(descriptor, KEY_FILE_BYTES + 1)
    finally:
        os.close(descriptor)
    return _parse(path, written)


def create_key(path: Path, secret: bytes | None = None) -> bytes:
    """
    Write a new key file, of a fresh secret unless one is given, and return the secret.

    Never overwrites: a lost key is lost money. The file appears whole and durable or not at all.
    """
    secret = _fresh() if secret is None else secret
    assert is_secret(secret), "not a secret"
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise ConfigurationError(f"{path.parent}: cannot make: {error.strerror}") from error
    try:
        try:
            _write_durably(draft, secret.hex().encode() + b"\n")
            # A link fails where a rename would silently replace.
            os.link(draft, path)
        finally:
            draft.unlink(missing_ok=True)
        _sync_folder(path.parent)
    except FileExistsError:
        raise ConfigurationError(f"{path}: a key exists already and is not overwritten") from None
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot write the key: {error.strerror}") from error
    return secret


def create_identity(folder: Path, secret: bytes | None = None) -> bytes:
    """
    Write the key of a new node and, before it, the empty record of what it has signed.

    A validator's key that comes without that record has a past that is not known here, and stays
    silent for a time: so the record is born with the key.
    """
    record = folder / SAFETY_RECORD
    try:
        record.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        record.touch(mode=0o600)
        for each in (record.parent, folder):
            _sync_folder(each)
    except OSError as error:
        raise ConfigurationError(f"{record}: cannot write: {error.strerror}") from error
    return create_key(folder / IDENTITY_FILE, secret)


def load_or_create_node_identity(folder: Path) -> bytes:
    """Return the secret of a node's key, made with its safety record on the first call."""
    path = folder / IDENTITY_FILE
    return load_key(path) if os.path.lexists(path) else create_identity(folder)


def load_or_create_identity(path: Path) -> bytes:
    """Return the secret in a file, made on the first call."""
    if not os.path.lexists(path):
        try:
            return create_key(path)
        except ConfigurationError:
            # Another process may have been faster; if it was not, loading says what is wrong.
            if not os.path.lexists(path):
                raise
    return load_key(path)


def _fresh() -> bytes:
    while not is_secret(secret := secrets.token_bytes(SECRET_BYTES)):
        pass
    return secret


def _parse(path: Path, written: bytes) -> bytes:
    # What was read must never get into an error text: it may be a secret with a typing error.
    text = written.decode("ascii", "replace").removesuffix("\n")
    if len(written) <= KEY_FILE_BYTES and _HEX.fullmatch(text) and is_secret(bytes.fromhex(text)):
        return bytes.fromhex(text)
    raise ConfigurationError(
        f"{path}: not a key: {2 * SECRET_BYTES} hex digits of a secp256k1 secret belong here"
    )


def _write_durably(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
