"""`botticelli check`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final

import typer

from botticelli.cli.shell.app import app
from botticelli.cli.shell.environment import Environment
from botticelli.cli.shell.output import Console, render
from botticelli.errors import ConfigError
from botticelli.reports import check as checks
from botticelli.reports.check import Checked, Finding

STYLES: Final = {"ok": "green", "warning": "yellow", "error": "bold red"}


@app.command()
def check(
    ctx: typer.Context,
    files: Annotated[
        list[Path] | None, typer.Argument(metavar="[FILE]...", help="Further narrative files.")
    ] = None,
    *,
    online: Annotated[
        bool,
        typer.Option(
            "--online", help="Ask models and platforms, too; nothing is spent or published."
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Report as JSON.")] = False,
) -> int:
    """Find everything a timer could trip over, in one run."""
    env: Environment = ctx.obj
    paths = [env.cwd / file for file in files or ()]
    report = checks.report(_findings(env, paths, online=online))
    env.show(report, as_json=as_json)
    return report.exit_code


def _findings(env: Environment, files: list[Path], *, online: bool) -> Iterator[Finding]:
    try:
        config = env.config
    except ConfigError as error:
        yield from checks.errors(error.problems, subject="configuration")
        for file in files:
            yield from checks.check_narrative(file)
        return
    source = str(config.source) if config.source else "no botticelli.toml: shipped defaults"
    yield Finding(level="ok", subject="configuration", what=source)
    yield from checks.check_variables(config)
    yield from checks.check_narratives(config, files=files, cwd=env.cwd)
    yield from checks.check_models(config, online=online)
    yield from checks.check_destinations(config, clock=env.clock, online=online)
    yield from checks.check_security(config)
    yield from checks.check_folders(config)
    yield from checks.check_database(env.database(), files=checks.narrative_files(config, files))


@render.register
def _(report: Checked, console: Console) -> None:
    for finding in report.findings:
        text = f"{finding.level:<8} {finding.subject}: {finding.what}"
        console.line(text + (f"; {finding.hint}" if finding.hint else ""), style=_style(finding))
    bad = sum(finding.level == "error" for finding in report.findings)
    console.line()
    console.line(
        f"{bad} to be fixed" if bad else "all is well", style=STYLES["error" if bad else "ok"]
    )


def _style(finding: Finding) -> str:
    return "" if finding.level == "ok" else STYLES[finding.level]
