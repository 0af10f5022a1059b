"""Sessions with platforms that outlive a process, sealed with the password that opened them.

Whoever reads the database or a dump of it learns nothing that the password's owner had not let him
have; with another password a session is as good as none.
"""

from base64 import urlsafe_b64encode
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from botticelli.store.connection import Connection, lasting

if TYPE_CHECKING:
    from cryptography.fernet import Fernet

KEEP: Final = """
    INSERT INTO kept_sessions (name, sealed) VALUES (%(name)s, %(sealed)s)
        ON CONFLICT (name) DO UPDATE SET sealed = excluded.sealed, kept_at = excluded.kept_at
"""


class SealedSessions:
    """The kept sessions of a database."""

    def __init__(self, conn: Connection) -> None:
        self._conn = conn

    def load(self, name: str, password: str) -> str:
        """Return the session of that name; empty if none was kept under that password."""
        from cryptography.fernet import InvalidToken

        query = "SELECT sealed FROM kept_sessions WHERE name = %s"
        row = lasting(self._conn, lambda: self._conn.execute(query, (name,)).fetchone())
        try:
            return _seal_of(name, password).decrypt(row[0]).decode() if row else ""
        except InvalidToken:
            return ""

    def keep(self, name: str, session: str, password: str) -> None:
        """Keep a session in the place of an earlier one."""
        values = {"name": name, "sealed": _seal_of(name, password).encrypt(session.encode())}
        lasting(self._conn, lambda: self._conn.execute(KEEP, values))


@lru_cache(maxsize=16)
def _seal_of(name: str, password: str) -> "Fernet":
    """Return what seals with a password; one that can be guessed costs much to try out."""
    from hashlib import scrypt

    from cryptography.fernet import Fernet

    key = scrypt(password.encode(), salt=name.encode(), n=1 << 14, r=8, p=1, dklen=32)
    return Fernet(urlsafe_b64encode(key))
