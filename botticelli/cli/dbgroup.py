"""The group of `botticelli db`."""

import typer

from botticelli.cli.shell.app import app

db = typer.Typer(no_args_is_help=True)
app.add_typer(db, name="db")


@db.callback()
def group() -> None:
    """Look after the database."""
