"""`botticelli projects`."""

from dataclasses import replace
from pathlib import Path
from typing import Final

from botticelli.cli.shell.command import command
from botticelli.cli.shell.environment import Environment
from botticelli.cli.shell.output import Columns, Listing
from botticelli.text import ago

KNOWN: Final[Columns] = {
    "PROJECT": lambda one: one.name or one.problem or None,
    "DATABASE": "database",
    "LAST RUN": lambda one: ago(one.last_run, one.now) if one.last_run else "never",
    "SIZE>": lambda one: f"{one.size_bytes / 1_000_000:.0f} MB" if one.size_bytes else None,
    "FOLDER": lambda one: (
        f"{one.root} (gone)" if one.root and not Path(one.root).is_dir() else one.root
    ),
}


@command()
def projects(env: Environment) -> Listing:
    """List the projects of this user with their databases.

    Examples:
        botticelli projects --json | jq -r '.projects[].root'
    """
    from botticelli.store.connection import place_of
    from botticelli.store.projects import describe, list_databases

    found = []
    url, server = env.config.database.url, env.embedded
    if url:
        found.append(replace(describe(url), database=place_of(url)))
    if server.is_made:
        found += [describe(server.url_of(name)) for name in list_databases(server)]
    empty = "there are no projects yet; create one with botticelli init"
    return Listing(name="projects", rows=found, columns=KNOWN, empty=empty)
