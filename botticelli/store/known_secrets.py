"""Secrets that were in use here before: known by a salted hash, so that no dump tells them."""

import hashlib
import os
from typing import Final

from botticelli.config import hiding
from botticelli.store.connection import Connection

# Of the lengths that a key may have: rows may be anybody's, and each length costs time.
KNOWN: Final = """
    SELECT digest, salt, length
      FROM known_secrets
     WHERE length BETWEEN 20 AND 200
     ORDER BY seen_at, digest
     LIMIT 1000
"""
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
    salt, known = recognize(conn)
    ours = [word for word in hiding.current().secrets if hiding.LONG_WORD.fullmatch(word)]
    new = {_digest(word, salt): len(word) for word in ours} | known
    if len(new) > len(known):
        values = {"salt": salt, "digests": list(new), "lengths": list(new.values())}
        conn.execute(ADD, values)


def recognize(conn: Connection) -> tuple[bytes, dict[bytes, int]]:
    """Let this process hide the secrets that were in use before; return their salt and lengths."""
    rows = conn.execute(KNOWN).fetchall()
    salt = rows[0][1][:64] if rows else os.urandom(16)  # longer ones are no key of blake2b
    known = {digest: length for digest, its_salt, length in rows if its_salt == salt}
    lengths = set(known.values())

    def is_former(word: str) -> bool:
        plain = word.strip(".-")
        ends = (part for length in lengths for part in (plain[:length], plain[-length:]))
        return bool(known) and any(_digest(part, salt) in known for part in (plain, *ends))

    hiding.current().former = is_former
    return salt, known


def _digest(word: str, salt: bytes) -> bytes:
    return hashlib.blake2b(word.encode("utf-8", "replace"), key=salt, digest_size=16).digest()
