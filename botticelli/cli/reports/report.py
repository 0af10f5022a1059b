"""`botticelli report`: the figures of some days as one file."""

from pathlib import Path

from botticelli.cli.shell.command import Done, command
from botticelli.cli.shell.environment import Environment
from botticelli.errors import UsageError
from botticelli.reports import analytics
from botticelli.reports.insights import read_insights
from botticelli.store.connection import Connection
from botticelli.store.reads.figures import MOST_DAYS


@command()
def report(env: Environment, conn: Connection, file: Path, *, days: int = 30) -> Done:
    """Write the figures of the last days as one HTML file.

    It needs no server, no script and no network: for a mail, an archive, or a browser.

    Takes:
        file FILE.html: Where to.
        days N: How many days, today included; at most 366.

    Examples:
        botticelli report month.html
        botticelli report week.html --days 7
    """
    if days > MOST_DAYS:
        raise UsageError(f"{days} days are too many", where="--days", hint=f"say {MOST_DAYS}")
    found, config = read_insights(conn, env.config, days=days), env.config
    page = analytics.to_page(found, project=config.project.name or "Botticelli")
    path = env.write(file, page)
    facts = {"file": str(path), "from": found.figures.first, "days": days}
    return Done(line=f"the figures of {days} days are in {path}", facts=facts)
