"""Secrets that were in use here before: known by a salted hash, so that no dump tells them."""

import hashlib
import os
from typing import Final

from botticelli.config import hiding
from botticelli.store.connection import Connection

KNOWN: Final = "SELECT digest, salt, length FROM known_secrets ORDER BY seen_at, digest"
ADD: Final = """
    INSERT INTO known_secrets (digest, salt, length)
    SELECT d.digest, %(salt)s, d.length
      FROM unnest(%(digests)s::bytea[], %(lengths)s::integer[]) AS d (digest, length)
        ON CONFLICT DO NOTHING
"""


def remember(conn: Connection) -> None:
    """Keep the hashes of this process's secrets, and let it hide the former ones as well.

    Only of keys and tokens: the hash of a short password could be guessed. One statement if all
    are known already.
    """
    hider = hiding.current()
    rows = conn.execute(KNOWN).fetchall()
    salt = rows[0][1] if rows else os.urandom(16)
    known = {digest: length for digest, its_salt, length in rows if its_salt == salt}
    ours = [word for word in hider.secrets if hiding.LONG_WORD.fullmatch(word)]
    new = {_digest(word, salt): len(word) for word in ours} | known
    if len(new) > len(known):
        values = {"salt": salt, "digests": list(new), "lengths": list(new.values())}
        conn.execute(ADD, values)
    lengths = set(known.values())

    def is_former(word: str) -> bool:
        plain = word.strip(".-")
        ends = (part for length in lengths for part in (plain[:length], plain[-length:]))
        return bool(known) and any(_digest(part, salt) in known for part in (plain, *ends))

    hider.former = is_former


def _digest(word: str, salt: bytes) -> bytes:
    return hashlib.blake2b(word.encode("utf-8", "replace"), key=salt, digest_size=16).digest()
