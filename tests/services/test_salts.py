"""A salt is the same after any loss, and another for every purpose, place and key."""

from itertools import product

from potp2p.foundation.types import Digest, Round, ShardIndex, TaskId
from potp2p.protocol.ledger.keys import lease_key
from potp2p.services.salts import Salted, own_salt


def test_no_two_commitments_share_a_salt_and_each_is_found_again() -> None:
    task = TaskId(Digest(b"\x07" * 32))
    places = [lease_key(task, Round(1), ShardIndex(each)) for each in (0, 1)]
    wanted = list(product((b"\x01" * 32, b"\x02" * 32), Salted, places))
    salts = [own_salt(*each) for each in wanted]
    assert len(set(salts)) == len(wanted)
    assert salts == [own_salt(*each) for each in wanted]
    assert len({len(each.value) for each in Salted}) == 1, "names of one length never run together"
