"""Secrets that were in use here before: known by a salted hash, so that no dump tells them."""

import os
from collections.abc import Iterable
from typing import Final

from botticelli.config import hiding
from botticelli.store.connection import Connection
from botticelli.store.schema import KNOWN, KnownSecret

ADD: Final = """
    INSERT INTO known_secrets (digest, salt, length)
    SELECT d.digest, %(salt)s, d.length
      FROM unnest(%(digests)s::bytea[], %(lengths)s::integer[]) AS d (digest, length)
        ON CONFLICT DO NOTHING
"""


class Former:
    """Tells whether a long word is a secret that was in use before."""

    def __init__(self, rows: Iterable[KnownSecret]) -> None:
        found = list(rows)
        # A longer salt is no key of blake2b.
        self.salt = found[0][1][:64] if found else os.urandom(16)
        self.known = {digest: length for digest, salt, length in found if salt == self.salt}
        self._lengths = set(self.known.values())

    def __call__(self, word: str) -> bool:
        """Return whether the word, or one end of it, was a secret."""
        plain = word.strip(".-")
        ends = (part for size in self._lengths for part in (plain[:size], plain[-size:]))
        return bool(self.known) and any(self.digest(part) in self.known for part in (plain, *ends))

    def digest(self, word: str) -> bytes:
        """Return the hash by which a word is known here."""
        from hashlib import blake2b

        return blake2b(word.encode("utf-8", "replace"), key=self.salt, digest_size=16).digest()


def remember(conn: Connection) -> None:
    """Keep the hashes of this process's secrets, and let it hide the former ones as well.

    Only of keys and tokens: the hash of a short password could be guessed. No statement if all are
    known already, as the door has seen.
    """
    former = hiding.current().former
    if not isinstance(former, Former):
        former = recognize(conn)
    ours = [word for word in hiding.current().secrets if hiding.LONG_WORD.fullmatch(word)]
    new = {former.digest(word): len(word) for word in ours}
    if new.keys() - former.known.keys():
        values = {"salt": former.salt, "digests": list(new), "lengths": list(new.values())}
        conn.execute(ADD, values)


def recognize(conn: Connection, rows: Iterable[KnownSecret] | None = None) -> Former:
    """Let this process hide the secrets that were in use before; `rows`: as the door read them."""
    former = Former(conn.execute(KNOWN) if rows is None else rows)
    hiding.current().former = former
    return former
