"""Tagged hashes."""

from hashlib import sha256 as reference

from potp2p.protocol.crypto.hashing import sha256, tagged_hash


def test_domain_and_newline_come_before_the_parts() -> None:
    expected = reference(b"potp2p/test/1\nonetwo").digest()

    assert tagged_hash("potp2p/test/1", b"one", b"two") == expected
    assert sha256(b"one") == reference(b"one").digest()


def test_domain_cannot_be_continued_by_the_body() -> None:
    assert tagged_hash("potp2p/test/1", b"") != tagged_hash("potp2p/test", b"/1\n")
