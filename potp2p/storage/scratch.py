"""Files on the way into the blob store: a worker writes one, the store copies it, then it goes."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from potp2p.storage.files import operating


@dataclass(frozen=True, slots=True)
class ScratchFolder:
    """
    A folder of which only what is lent just now stays.

    A worker whose work was cancelled may write a last file after its lender is gone: whatever is
    lent to nobody goes with the next loan, and what a crash left goes when the folder is opened.
    """

    folder: Path
    _lent: set[str] = field(default_factory=set[str])

    @classmethod
    def open(cls, folder: Path) -> "ScratchFolder":
        """Make the folder and empty it; OperatingError where the disk refuses."""
        with operating(folder, "open the scratch folder"):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        found = cls(folder)
        found._sweep()
        return found

    @contextmanager
    def lend(self, name: str) -> Iterator[Path]:
        """Lend a path that nobody else holds; what was written there goes at the end."""
        assert name not in self._lent, f"{name} is lent already"
        self._sweep()
        self._lent.add(name)
        try:
            yield self.folder / name
        finally:
            self._lent.remove(name)
            self._sweep()

    def _sweep(self) -> None:
        """Delete what is lent to nobody; half-written files begin with the name of a whole one."""
        kept = tuple(self._lent)
        with operating(self.folder, "empty the scratch folder"):
            for path in self.folder.iterdir():
                if not path.name.startswith(kept) and path.is_file():
                    path.unlink(missing_ok=True)
