"""Private notes of a node in LMDB: what a claim rests on before the claim leaves."""

from collections.abc import Sequence
from dataclasses import dataclass

from potp2p.storage.environment import Environment, Transaction
from potp2p.storage.tables import Table


@dataclass(frozen=True, slots=True)
class LmdbNotebook:
    """The notes of one data folder."""

    environment: Environment

    def get(self, name: bytes) -> bytes | None:
        """Return a note."""
        return self.environment.get(Table.NOTES, name)

    def names(self, prefix: bytes) -> tuple[bytes, ...]:
        """Return the names that begin with a prefix, ascending."""
        return self.environment.read(lambda notes: tuple(notes.keys(Table.NOTES, prefix)))

    async def put(self, name: bytes, note: bytes) -> None:
        """Keep a note; durable on return."""
        await self.environment.write(lambda notes: notes.put(Table.NOTES, name, note))

    async def remove(self, names: Sequence[bytes]) -> None:
        """Forget notes; unknown names are no error."""

        def delete(notes: Transaction) -> None:
            for name in names:
                notes.put(Table.NOTES, name, None)

        await self.environment.write(delete)
