"""`botticelli health`."""

from typing import Annotated

import typer

from botticelli.cli.shell.app import app
from botticelli.cli.shell.environment import Environment
from botticelli.cli.shell.output import Console, render
from botticelli.errors import Unavailable
from botticelli.reports.health import Health, StageHealth, read_health, unreachable
from botticelli.text import ago, counted


@app.command()
def health(
    ctx: typer.Context,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Report as JSON.")] = False,
) -> int:
    """Tell in one line whether all is well; exit code 0 if it is, else 1."""
    env: Environment = ctx.obj
    try:
        with env.database() as conn:
            report = read_health(conn, env.config)
    except Unavailable as error:
        problem = error.problems[0]
        place = f"{problem.where}: " if problem.where else ""
        report = unreachable(env.hide(f"{place}{problem.what}"))
    env.show(report, as_json=as_json)
    return report.exit_code


@render.register
def _(report: Health, console: Console) -> None:
    if report.problems:
        told = [": ".join(filter(None, (one.name, one.what))) for one in report.problems]
        console.line(f"unhealthy: {'; '.join(told)}", style="red")
        return
    facts = [", ".join(_last(stage, report) for stage in report.stages)]
    facts.append(f"{counted(report.posts or 0, 'post')} to send")
    if report.held:
        facts.append(f"{report.held} held")
    console.line(f"healthy: {'; '.join(facts)}", style="green")


def _last(stage: StageHealth, report: Health) -> str:
    if stage.is_paused:
        return f"{stage.name} paused"
    if stage.last_success is None or report.now is None:
        return f"{stage.name} not yet"
    return f"{stage.name} {ago(stage.last_success, report.now)}"
