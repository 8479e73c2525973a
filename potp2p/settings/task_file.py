"""Reading `task.toml` from the operator's disk; what its text means is `task_text.py`."""

from pathlib import Path
from typing import Final

from potp2p.foundation.errors import ConfigurationError
from potp2p.protocol.scheduling.task_text import TaskText, parse
from potp2p.protocol.wire.tasks import TaskRules

TASK_FILE_BYTES_MAX: Final = 1 << 16


def read_rules(path: Path) -> TaskRules:
    """Return the rules a task file states; ConfigurationError names the key that is wrong."""
    return read_task(path).rules


def read_task(path: Path) -> TaskText:
    """Return name, budget and rules of a task file."""
    try:
        with path.open("rb") as file:
            encoded = file.read(TASK_FILE_BYTES_MAX + 1)
        if len(encoded) > TASK_FILE_BYTES_MAX:
            raise ConfigurationError(f"{path.name} is larger than a task file may be")
        return parse(encoded.decode(), path.name)
    except OSError as error:
        raise ConfigurationError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path.name} is not UTF-8 text") from error
