"""
The LMDB environment: every write is one function on one thread, every read ends before any await.

py-lmdb commits a write transaction on another thread without a word and the next writer then hangs,
so a transaction never leaves the function that it was opened for. Reads run on the event loop's
thread, and so does the growth of the map, which must not meet an open transaction.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Self, TypeVar, cast

import lmdb
import trio

from potp2p.foundation.errors import OperatingError
from potp2p.foundation.limits import DATABASE_BYTES_FIRST, DATABASE_BYTES_MAX
from potp2p.storage.tables import Table

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Transaction:
    """Reads and writes of one transaction; valid only inside the function it was given to."""

    handle: lmdb.Transaction
    tables: dict[Table, lmdb._Database]

    def get(self, table: Table, key: bytes) -> bytes | None:
        """Return a value."""
        return cast("bytes | None", self.handle.get(key, db=self.tables[table]))

    def put(self, table: Table, key: bytes, value: bytes | None) -> None:
        """Write a value; None deletes."""
        if value is None:
            self.handle.delete(key, db=self.tables[table])
        else:
            self.handle.put(key, value, db=self.tables[table])

    def keys(self, table: Table, prefix: bytes) -> Iterator[bytes]:
        """Yield the keys that begin with a prefix, ascending."""
        with self.handle.cursor(db=self.tables[table]) as cursor:
            found = cast("bool", cursor.set_range(prefix))
            while found:
                key = cast("bytes", cursor.key())
                if not key.startswith(prefix):
                    return
                yield key
                found = cast("bool", cursor.next())


@dataclass(slots=True)
class Environment:
    """An open database folder; one per folder and process."""

    path: Path
    handle: lmdb.Environment
    tables: dict[Table, lmdb._Database]
    _writer: trio.Lock = field(default_factory=trio.Lock)
    _thread: trio.CapacityLimiter = field(default_factory=lambda: trio.CapacityLimiter(1))

    @classmethod
    @contextmanager
    def open(cls, path: Path, *, bytes_first: int = DATABASE_BYTES_FIRST) -> Iterator[Self]:
        """Open or create the folder; every commit is synced to the disk."""
        try:
            path.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle = lmdb.open(
                str(path), map_size=bytes_first, max_dbs=len(Table), sync=True, metasync=True
            )
        except (lmdb.Error, OSError) as error:
            raise OperatingError(f"{path}: cannot open the chain database: {error}") from error
        try:
            tables = {table: handle.open_db(table.value.encode()) for table in Table}
            yield cls(path, handle, tables)
        except lmdb.Error as error:
            raise OperatingError(f"{path}: chain database fails: {error}") from error
        finally:
            handle.close()

    def read(self, work: Callable[[Transaction], Result]) -> Result:
        """Run a function over a consistent view; it must not keep the transaction."""
        with self.handle.begin() as handle:
            return work(Transaction(handle, self.tables))

    def get(self, table: Table, key: bytes) -> bytes | None:
        """Return one value of the last finished write."""
        return self.read(lambda transaction: transaction.get(table, key))

    async def write(self, work: Callable[[Transaction], None]) -> None:
        """Run a function as one write transaction, durable on return; it may run twice."""
        async with self._writer:
            while not await trio.to_thread.run_sync(
                partial(self._write_in_thread, work), limiter=self._thread
            ):
                self._grow()

    def _write_in_thread(self, work: Callable[[Transaction], None]) -> bool:
        """Say whether the write found room; without room nothing of it is kept."""
        try:
            with self.handle.begin(write=True) as handle:
                work(Transaction(handle, self.tables))
        except lmdb.MapFullError:
            return False
        except (lmdb.Error, OSError) as error:
            raise OperatingError(f"{self.path}: cannot write: {error}") from error
        return True

    def _grow(self) -> None:
        size = 2 * cast("int", self.handle.info()["map_size"])
        if size > DATABASE_BYTES_MAX:
            raise OperatingError(f"{self.path}: chain database has reached {size // 2} bytes")
        self.handle.set_mapsize(size)
