"""What other packages add: platforms, models and commands, found through their entry points.

Looked up only when a name is not built in: nobody who uses no plugin waits for one.
"""

from collections.abc import Callable
from typing import Any, Final

from botticelli.errors import ConfigError

PLATFORMS: Final = "botticelli.platforms"
MODELS: Final = "botticelli.models"
COMMANDS: Final = "botticelli.commands"


def names(group: str) -> tuple[str, ...]:
    """Return the names that installed packages give in a group, sorted."""
    from importlib.metadata import entry_points

    return tuple(sorted({point.name for point in entry_points(group=group)}))


def find(group: str, name: str) -> Callable[..., Any] | None:
    """Return what an installed package gives under a name; None if none does.

    Raises:
        ConfigError: Two packages give it, or it cannot be imported.
    """
    from importlib.metadata import entry_points

    points = tuple(entry_points(group=group, name=name))
    if not points:
        return None
    packages = sorted({point.dist.name if point.dist else point.value for point in points})
    if len(packages) > 1:
        raise ConfigError(
            f"'{name}' is given by several packages: {', '.join(packages)}",
            where=group,
            hint="uninstall all but one",
        )
    try:
        found = points[0].load()
    except Exception as error:  # somebody else's code: it may fail in any way
        raise ConfigError(
            f"'{name}' of {packages[0]} cannot be loaded ({type(error).__name__}: {error})",
            where=group,
            hint=f"look into {packages[0]}, or uninstall it",
        ) from error
    if not callable(found):
        raise ConfigError(f"'{name}' of {packages[0]} is not a function", where=group)
    made: Callable[..., Any] = found
    return made
