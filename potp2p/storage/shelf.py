"""Which blobs are kept, how much they take, and which go first when room is needed."""

from dataclasses import dataclass, field

from potp2p.foundation.types import BlobId


@dataclass(slots=True)
class Shelf:
    """Sizes of whole blobs, least recently used first, and of room set aside for others."""

    quota_bytes: int
    pinned: set[BlobId]
    _sizes: dict[BlobId, int] = field(default_factory=dict[BlobId, int])
    _kept_bytes: int = 0
    _reserved_bytes: int = 0

    @property
    def used_bytes(self) -> int:
        """Return what the quota counts."""
        return self._kept_bytes + self._reserved_bytes

    def touch(self, blob: BlobId) -> bool:
        """Say whether a whole blob is here and mark it used just now."""
        size = self._sizes.pop(blob, None)
        if size is None:
            return False
        self._sizes[blob] = size
        return True

    def put(self, blob: BlobId, size: int) -> None:
        """Take in a whole blob as the one used last."""
        self.drop(blob)
        self._sizes[blob] = size
        self._kept_bytes += size

    def drop(self, blob: BlobId) -> None:
        """Forget a whole blob."""
        self._kept_bytes -= self._sizes.pop(blob, 0)

    def reserve(self, size: int) -> None:
        """Set room aside for a blob on its way in."""
        self._reserved_bytes += size

    def release(self, size: int) -> None:
        """Give room back that was set aside."""
        self._reserved_bytes -= size
        assert self._reserved_bytes >= 0, "room given back twice"

    def excess_bytes(self, size: int) -> int:
        """Return how much must go before so many more bytes fit; zero or less when they do."""
        return self.used_bytes + size - self.quota_bytes

    def victims(self, size: int) -> list[BlobId]:
        """Return the unpinned blobs that must go first for so many more bytes; maybe too few."""
        found: list[BlobId] = []
        excess = self.excess_bytes(size)
        for blob, kept in self._sizes.items():
            if excess <= 0:
                break
            if blob not in self.pinned:
                found.append(blob)
                excess -= kept
        return found

    def size_of(self, blob: BlobId) -> int:
        """Return the size of a whole blob that is here."""
        return self._sizes[blob]
