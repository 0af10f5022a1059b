"""`botticelli metrics`."""

import contextlib
import errno
import os
from pathlib import Path
from typing import Annotated, Final

import typer

from botticelli.cli.shell.app import app
from botticelli.cli.shell.environment import Environment
from botticelli.errors import ConfigError, UsageError

SUFFIX: Final = ".prom"  # node_exporter's textfile collector reads no other
READABLE: Final = 0o644  # node_exporter runs as somebody else


@app.command()
def metrics(
    ctx: typer.Context,
    *,
    textfile: Annotated[
        Path | None,
        typer.Option(
            "--textfile",
            metavar="FILE.prom",
            help="Write them there, for node_exporter's textfile collector.",
        ),
    ] = None,
) -> int:
    """Tell the figures in Prometheus' text format."""
    from importlib.metadata import version

    from botticelli.reports.metrics import exposition, read_metrics

    env: Environment = ctx.obj
    if textfile is not None and textfile.suffix != SUFFIX:
        raise UsageError(
            f"'{textfile}' would not be read", where="--textfile", hint=f"let it end in {SUFFIX}"
        )
    with env.database() as conn:
        found = read_metrics(conn, env.config, version=version("botticelli"), clock=env.clock)
    if textfile is None:
        env.stdout.write(exposition(found))
    else:
        _replace(env.cwd / textfile, exposition(found))
    return 0


def _replace(path: Path, text: str) -> None:
    """Write all or nothing: who reads at the same time sees the old file or the new one.

    Raises:
        ConfigError: The folder is not there, or is not ours to write.
    """
    half = path.with_name(f".{path.name}.{os.getpid()}.half")
    try:
        half.write_text(text, encoding="utf-8")
        half.chmod(READABLE)  # whatever the umask says
        half.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            half.unlink()
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise ConfigError(
            f"cannot be written ({error.strerror})",
            where=str(path),
            hint="make the folder and let this user write there",
        ) from error
