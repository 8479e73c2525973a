"""The node's identity on disk: one raw secp256k1 secret in a file that only its owner reads."""

import os
import secrets
from pathlib import Path
from typing import Final

import coincurve

from potp2p.foundation.errors import ConfigurationError, OperatingError

SECRET_BYTES: Final = 32
PRIVATE_MODE: Final = 0o600
OTHERS_MASK: Final = 0o077


def load_or_create_identity(path: Path) -> bytes:
    """
    Return the secret in a file, creating it at the first start.

    A file that others may read, or that holds no key, is refused: a leaked or guessed identity
    is worse than a late start.
    """
    try:
        return _load(path)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise OperatingError(f"cannot read {path}: {error.strerror}") from error
    try:
        return _create(path)
    except FileExistsError:
        return _load(path)
    except OSError as error:
        raise OperatingError(f"cannot write {path}: {error.strerror}") from error


def _load(path: Path) -> bytes:
    if path.stat().st_mode & OTHERS_MASK:
        raise ConfigurationError(f"{path} can be read by others: chmod 600 {path}")
    text = path.read_bytes().strip()
    try:
        secret = bytes.fromhex(text.decode("ascii"))
        coincurve.PrivateKey(secret)
    except ValueError as error:
        raise ConfigurationError(f"{path} does not hold a secret key") from error
    if len(secret) != SECRET_BYTES:
        raise ConfigurationError(f"{path} does not hold a secret key")
    return secret


def _create(path: Path) -> bytes:
    """Write a fresh secret so that the file is whole or absent, whenever we are killed."""
    secret: bytes = coincurve.PrivateKey().secret
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_MODE)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secret.hex().encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        # A link, unlike a rename, never replaces the key of a process that was faster.
        os.link(temporary, path)
    finally:
        temporary.unlink()
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return secret
