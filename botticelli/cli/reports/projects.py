"""`botticelli projects`."""

from dataclasses import replace
from pathlib import Path

from botticelli.cli.shell.command import command
from botticelli.cli.shell.environment import Environment
from botticelli.cli.shell.output import Console, render
from botticelli.records import record
from botticelli.store.projects import ProjectDatabase
from botticelli.text import ago


@record
class ProjectsReport:
    """The databases of projects: those of the embedded server, and the one that is configured."""

    projects: tuple[ProjectDatabase, ...]


@command()
def projects(env: Environment) -> ProjectsReport:
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
    return ProjectsReport(projects=tuple(found))


@render.register
def _(report: ProjectsReport, console: Console) -> None:
    if not report.projects:
        console.line("there are no projects yet; create one with botticelli init")
        return
    console.table(
        ["PROJECT", "DATABASE", "LAST RUN", "SIZE", "FOLDER"],
        [
            [
                one.name or one.problem or None,
                one.database,
                ago(one.last_run, one.now) if one.last_run else "never",
                f"{one.size_bytes / 1_000_000:.0f} MB" if one.size_bytes else None,
                f"{one.root} (gone)" if one.root and not Path(one.root).is_dir() else one.root,
            ]
            for one in report.projects
        ],
        right=["SIZE"],
    )
