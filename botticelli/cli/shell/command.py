"""How a command is written: a function from what it needs to the report that it returns.

    @command()
    def runs(conn: Connection, *, stage: str = "", limit: int = 20) -> RunsReport:
        \"\"\"List recent runs.

        Takes:
            stage STAGE: Only of this stage.
            limit N: Show at most N runs.
        \"\"\"

The decorator hands over the environment and an open database, adds `--json`, shows the report and
makes its exit code the command's own. The docstring declares what the user may write:
`PARAMETER [--option[,-o]] [METAVAR]: help`. What stands after the `*` is an option, an integer is
at least 1. Only what is more (completion, a parser), or shared by commands, needs `Annotated`.
"""

import inspect
import re
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from copy import copy
from typing import Annotated, Any, Final, get_args, get_origin

import typer
from typer.models import ParameterInfo

from botticelli.cli.shell.app import app
from botticelli.cli.shell.command_table import COMMANDS
from botticelli.cli.shell.environment import Environment
from botticelli.cli.shell.help import HelpCommand, HelpGroup
from botticelli.errors import Exit
from botticelli.records import record

Body = Callable[..., Any]
AsJson = Annotated[bool, typer.Option("--json", help="Print the report as JSON.")]
TAKEN: Final = re.compile(
    r"^ {4}(\w+)(?: (--[\w-]+(?:,-\w)?))?(?: ([^\s-]\S*))?: (.*(?:\n {8}.*)*)", re.MULTILINE
)
By = Annotated[
    str | None, typer.Option("--by", metavar="NAME", help="Who decides; recorded with it.")
]


@record
class Done:
    """The result of a command without a report: a line on stderr, or facts in JSON."""

    line: str
    facts: Mapping[str, Any]


@record
class PlainText:
    """A result that other programs read: bare text on stdout, or facts in JSON."""

    text: str
    facts: Mapping[str, Any]


def group(
    name: str, *, examples: str = "", parent: typer.Typer = app, text: str = ""
) -> typer.Typer:
    """Return the group of that name; bare, it does its `list` or `serve`, else prints its help.

    `text`: its help, if it is a group within a group.
    """
    made = typer.Typer(
        cls=HelpGroup,
        help=text or COMMANDS[name].help,
        epilog=inspect.cleandoc(examples),
        no_args_is_help=True,
    )
    parent.add_typer(made, name=name)
    return made


def command(
    parent: typer.Typer = app,
    name: str | None = None,
    *,
    json: bool = True,
    decides: bool = False,
    writes: bool = False,
    **settings: Any,
) -> Callable[[Body], Body]:
    """Register a function as a command.

    The function gets by name `env`, `conn` (the database, closed before the report is shown), `ctx`
    and `as_json`; its other parameters are arguments and options. It returns a report, a Done, a
    PlainText, an exit code or None. Its docstring is the help; what follows "Examples:" ends it.

    Args:
        parent: The group it belongs to.
        name: Its name, if the function's cannot be it.
        json: Whether it has `--json`.
        decides: Whether it records who decides, and has `--by`.
        writes: Whether it changes the database, as one that decides does; not with `--dry-run`.
        settings: Further settings for typer.
    """

    def register(body: Body) -> Body:
        text, _, examples = inspect.cleandoc(body.__doc__ or "").partition("Examples:\n")
        text, _, taken = text.partition("Takes:\n")
        examples = inspect.cleandoc(examples)
        said = {name: more for name, *more in TAKEN.findall(taken)}
        typed = _typed(body, said, json=json, decides=decides, writes=writes or decides)
        parent.command(name, cls=HelpCommand, help=text.strip(), epilog=examples, **settings)(typed)
        return body

    return register


def _typed(
    body: Body, said: Mapping[str, list[str]], *, json: bool, decides: bool, writes: bool
) -> Body:
    """Return the function that typer calls: it takes the context and what the user may write."""
    taken = inspect.signature(body).parameters

    def invoke(ctx: typer.Context, **options: Any) -> int:
        env: Environment = ctx.obj
        env.decider = options.pop("by", None) or ""
        keeps = "as_json" in taken
        as_json = options.get("as_json", False) if keeps else options.pop("as_json", False)
        env.is_dry_run = bool(options.get("dry_run"))
        env.writes = writes and not env.is_dry_run
        with env.database() if "conn" in taken else nullcontext() as conn:
            known = {"env": env, "ctx": ctx, "conn": conn}
            result = body(**options, **{key: known[key] for key in taken.keys() & known.keys()})
        return _show(env, result, as_json=as_json)

    given = {"env", "conn", "ctx", *(["as_json"] if json else [])}
    own = [_declared(each, said.get(key)) for key, each in taken.items() if key not in given]
    context = inspect.Parameter(
        "ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context
    )
    keyword = inspect.Parameter.KEYWORD_ONLY
    shown = [context, *own]
    if decides:
        shown.append(inspect.Parameter("by", keyword, annotation=By, default=None))
    if json:
        shown.append(inspect.Parameter("as_json", keyword, annotation=AsJson, default=False))
    invoke.__signature__ = inspect.Signature(shown)  # type: ignore[attr-defined]
    invoke.__annotations__ = {each.name: each.annotation for each in shown}
    invoke.__name__ = body.__name__
    return invoke


def _declared(parameter: inspect.Parameter, said: list[str] | None) -> inspect.Parameter:
    """Return a parameter as typer wants it: with what the docstring says of it."""
    if said is None:
        return parameter
    option, metavar, text = said
    kind, is_option = parameter.annotation, parameter.kind is inspect.Parameter.KEYWORD_ONLY
    info: ParameterInfo = typer.Option() if is_option else typer.Argument()
    if get_origin(kind) is Annotated:
        kind, known = get_args(kind)
        info = copy(known)
    info.help, info.metavar = re.sub(r"\s+", " ", text), metavar or info.metavar
    if is_option:
        names = option or f"--{parameter.name.replace('_', '-')}"
        info.param_decls = tuple(names.split(","))
    if int in (kind, *get_args(kind)) and info.parser is None:
        info.min = 1
    return parameter.replace(annotation=Annotated[kind, info])


def _show(env: Environment, result: Any, *, as_json: bool) -> int:
    if result is None or isinstance(result, int):
        return result or Exit.DONE
    if isinstance(result, Done | PlainText):
        if as_json:
            env.show(result.facts, as_json=True)
        elif isinstance(result, Done):
            env.say(result.line)
        else:
            env.stdout.write(result.text)
        return Exit.DONE
    env.show(result, as_json=as_json)
    return int(getattr(result, "exit_code", Exit.DONE))
