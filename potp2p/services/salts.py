"""
Salts of own commitments, made from the node's key: a disk that is lost takes none of them along.

Training and replays can be done again from what the chain names, to the bit on the same device; a
drawn salt could not, and without it an honest commitment stays closed. For a miner that is a
conviction: it was asked to show that it had trained. The key is secret, so nobody else knows a salt
before it is shown, and one that is shown tells nothing of the next.
"""

from enum import Enum, unique
from typing import Final

from potp2p.foundation.types import Digest
from potp2p.protocol.crypto.hashing import tagged_hash

SALT_DOMAIN: Final = "potp2p/salt/1"


@unique
class Salted(Enum):
    """What a salt is for; of one length, so that no two names run together."""

    TRACE = b"trace "
    AUDIT = b"audit "
    RESULT = b"result"


def own_salt(secret: bytes, purpose: Salted, place: bytes) -> Digest:
    """Return the salt of a node's commitment about a lease or a round."""
    return tagged_hash(SALT_DOMAIN, secret, purpose.value, place)
