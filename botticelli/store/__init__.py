"""The only place with SQL and psycopg, which is imported here, before any module needs it.

psycopg asks importlib.metadata for its own version: loading that, with the parsers of e-mail, and
reading all of METADATA takes a tenth of an idle tick. The folder's name says it as well.
"""

import os
import sys
from types import ModuleType


def _import_psycopg() -> None:
    name = "importlib.metadata"
    if "psycopg" in sys.modules or name in sys.modules:
        return  # it costs nothing more
    stand_in = ModuleType(name)
    vars(stand_in).update(version=_version, PackageNotFoundError=ModuleNotFoundError)
    sys.modules[name] = stand_in
    try:
        import psycopg  # noqa: F401
    finally:
        if sys.modules.get(name) is stand_in:
            del sys.modules[name]


def _version(distribution: str) -> str:
    """Return the version of a distribution whose package is being imported."""
    package = distribution.replace("-", "_")
    places = getattr(sys.modules.get(package), "__path__", ())
    found: set[str] = {
        entry.removeprefix(f"{package}-").removesuffix(".dist-info")
        for place in places
        for entry in os.listdir(os.path.dirname(place))  # noqa: PTH120, PTH208
        if entry.startswith(f"{package}-") and entry.endswith(".dist-info")
    }
    if len(found) == 1:
        return found.pop()
    sys.modules.pop("importlib.metadata", None)
    from importlib.metadata import version

    return version(distribution)


_import_psycopg()
