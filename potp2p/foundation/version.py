"""The version of this software, as `pyproject.toml` says it too."""

from typing import Final

VERSION: Final = "0.1.0"
