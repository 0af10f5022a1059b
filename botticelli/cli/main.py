"""The outermost handler: every error becomes lines on stderr and an exit code."""

import errno
import logging
import os
import sys
import threading
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, NoReturn

from botticelli import tracing
from botticelli.cli.shell import log
from botticelli.cli.shell.environment import Environment
from botticelli.errors import BotticelliError, Exit

INTERRUPTED: Final = 130  # 128 + SIGINT
PIPE_CLOSED: Final = 141  # 128 + SIGPIPE
NO_SPACE: Final = (errno.ENOSPC, errno.EDQUOT)

COLLECTORS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
COMPLETING: Final = "_BOTTICELLI_COMPLETE"  # set by the scripts of `botticelli completion`


def run() -> NoReturn:
    """Run the command line of this process and end it."""
    _open_streams()
    log.catch_strays()
    env = Environment.of_process()
    code = _complete(env) if COMPLETING in env.environ else main(sys.argv[1:], env)
    try:
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            code = PIPE_CLOSED
        elif not code:  # else the error is printed already
            code = _full(error, env)
    if threading.active_count() > 1:
        sys.exit(code)
    # Finalizing the interpreter would take an eighth of an idle run and has no use here.
    logging.shutdown()
    sys.stderr.flush()
    os._exit(code)


def _complete(env: Environment) -> int:
    from botticelli.cli.shell.completion import answer

    return answer(sys.argv[1:], env)


def _open_streams() -> None:
    """Put /dev/null where our starter closed a stream: a socket must not become our stdout."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(number)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115


def main(args: Sequence[str], env: Environment) -> int:
    """Run one command in `env` and return its exit code; nothing is raised."""
    import typer
    from typer._click.exceptions import ClickException, NoArgsIsHelpError

    from botticelli.cli.shell.app import app, globals_first

    try:
        with tracing.using(partial(_tracer, env)):
            group = typer.main.get_group(app)
            env.words = globals_first(args)
            code = (
                group.main(env.words, prog_name="botticelli", standalone_mode=False, obj=env) or 0
            )
    except BotticelliError as error:
        code = _report(error, env)
    except NoArgsIsHelpError as error:
        env.stdout.write(error.format_message() + "\n")
        code = Exit.USAGE
    except ClickException as error:
        env.complain(_usage(error))
        code = Exit.USAGE
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except (BrokenPipeError, SystemExit):  # typer's own answer to a closed pipe is sys.exit(1)
        code = PIPE_CLOSED
    except Exception as error:  # noqa: BLE001 - the fence: a bug has to end with its own code
        code = _unforeseen(error, env)
    if code == INTERRUPTED:  # mostly typer's own answer to Ctrl-C
        env.complain("interrupted; what was claimed is free again")
    return code


def _tracer(env: Environment) -> tracing.Tracer | None:
    """Return what sends spans to a collector, if the environment names one."""
    if not any(env.environ.get(name) for name in COLLECTORS):
        return None
    from botticelli.otel import tracer

    return tracer(env.environ, host=env.identity.host)


def _usage(error: Any) -> str:
    """Return what is wrong with a command line, and where its help is."""
    from botticelli.cli.shell.earlier import OPTIONS, successor

    near = getattr(error, "possibilities", None)
    message = error.message if near else error.format_message().rstrip(".")
    message = message.replace("valid int range", "whole number")
    path = getattr(getattr(error, "ctx", None), "command_path", "botticelli")
    hint = f"did you mean '{near[0]}'?" if near else f"see {path} --help"
    hint = successor(OPTIONS, getattr(error, "option_name", "")) or hint
    return f"{message[:1].lower()}{message[1:]}; {hint}"


def _report(error: BotticelliError, env: Environment) -> int:
    if env.options.debug:
        log.write(env, _trace(error), logging.DEBUG)
    for problem in error.problems:
        env.complain(str(problem))
    return error.exit_code


def _unforeseen(error: Exception, env: Environment) -> int:
    if isinstance(error, OSError) and error.errno in NO_SPACE:
        return _full(error, env)
    log.write(env, _trace(error), logging.ERROR)
    env.complain("this is a bug in botticelli; please report the lines above")
    return Exit.BUG


def _full(error: OSError, env: Environment) -> int:
    env.complain(f"cannot write: {error.strerror}; make room, then try again")
    return Exit.FAILED


def _trace(error: BaseException) -> str:
    import traceback

    return "".join(traceback.format_exception(error))
