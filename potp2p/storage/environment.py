"""
The LMDB environment: every write is one function on one thread, every read ends before any await.

py-lmdb commits a write transaction on another thread without a word and the next writer then hangs,
so a transaction never leaves the function that it was opened for. Reads run on the event loop's
thread, and so does the growth of the map, which must not meet an open transaction.
"""

import threading
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

    def items(self, table: Table) -> Iterator[tuple[bytes, bytes]]:
        """Yield all keys with their values, ascending."""
        with self.handle.cursor(db=self.tables[table]) as cursor:
            yield from cast("Iterator[tuple[bytes, bytes]]", cursor)

    def clear(self, table: Table) -> None:
        """Delete everything in a table."""
        self.handle.drop(self.tables[table], delete=False)

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
    _lookers: trio.CapacityLimiter = field(default_factory=lambda: trio.CapacityLimiter(1))
    _looking: set[threading.Event] = field(default_factory=set[threading.Event])
    _looked: trio.Event = field(default_factory=trio.Event)

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

    async def look(self, work: Callable[[Transaction, threading.Event], Result]) -> Result:
        """
        Run a long read in a thread, over the state of the last write that had finished.

        Once its event is set the function must soon give up: the map has to grow, which no open
        transaction survives.
        """
        give_up = threading.Event()
        self._looking.add(give_up)
        try:
            return await trio.to_thread.run_sync(
                partial(self._look_in_thread, work, give_up), limiter=self._lookers
            )
        finally:
            self._looking.discard(give_up)
            self._looked.set()

    def _look_in_thread(
        self, work: Callable[[Transaction, threading.Event], Result], give_up: threading.Event
    ) -> Result:
        try:
            with self.handle.begin() as handle:
                return work(Transaction(handle, self.tables), give_up)
        except lmdb.Error as error:
            raise OperatingError(f"{self.path}: cannot read: {error}") from error

    def get(self, table: Table, key: bytes) -> bytes | None:
        """Return one value of the last finished write."""
        return self.read(lambda transaction: transaction.get(table, key))

    async def write(self, work: Callable[[Transaction], None]) -> None:
        """Run a function as one write transaction, durable on return; it may run twice."""
        async with self._writer:
            while not await trio.to_thread.run_sync(
                partial(self._write_in_thread, work), limiter=self._thread
            ):
                await self._end_looks()
                self._grow()

    async def _end_looks(self) -> None:
        while self._looking:
            self._looked = trio.Event()
            for give_up in self._looking:
                give_up.set()
            await self._looked.wait()

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
