"""Secrets: found in a credential folder, a file or the environment, and never printed.

Order, first hit wins: `$CREDENTIALS_DIRECTORY/NAME` (systemd's LoadCredential=, name as is or in
lower case with dashes; an empty one counts as not there), the file that `NAME_FILE` names, `NAME`
itself.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from botticelli import files
from botticelli.errors import ConfigError

LARGEST: Final = 65_536  # bytes of a file; a secret that is longer is none


class Secret(str):
    """A string that shows itself only to who asks for `reveal()`."""

    __slots__ = ()

    def reveal(self) -> str:
        """Return the secret itself, for the one request that needs it."""
        return str.__str__(self)

    def __repr__(self) -> str:
        """Hide the value, but show whether there is one."""
        return "Secret(set)" if self else "Secret(empty)"

    def __str__(self) -> str:
        """Hide the value."""
        return "********" if self else ""

    def __format__(self, spec: str) -> str:
        """Hide the value."""
        return format(str(self), spec)


def find_secret(name: str, environ: Mapping[str, str]) -> Secret:
    """Return the secret of that name, empty if it is not set.

    Raises:
        ConfigError: `NAME_FILE` names a file that cannot be read.
    """
    folder = environ.get("CREDENTIALS_DIRECTORY")
    if folder:
        for candidate in (name, name.lower().replace("_", "-"), name.lower()):
            path = Path(folder) / candidate
            if secret := _credential(path, name):
                return secret
    path_text = environ.get(f"{name}_FILE")
    if path_text:
        return _read(Path(path_text), f"{name}_FILE")
    return Secret(environ.get(name, "").strip())


def _credential(path: Path, name: str) -> Secret:
    try:
        is_there = path.is_file()
    except OSError as error:  # systemd hides the folder from all but the main command of a unit
        raise ConfigError("the credential cannot be read", where=str(path)) from error
    return _read(path, name) if is_there else Secret("")


def _read(path: Path, name: str) -> Secret:
    try:
        return Secret(files.read(path, limit=LARGEST).decode().strip())
    except (OSError, ValueError) as error:
        why = f": {error.strerror}" if isinstance(error, OSError) else ""
        raise ConfigError(
            f"the file that {name} names cannot be read{why}",
            where=str(path),
            hint="check its path and owner",
        ) from error
