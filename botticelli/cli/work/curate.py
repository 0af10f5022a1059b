"""`botticelli curate`."""

from typing import TYPE_CHECKING, Final

from botticelli.cli.shared import choices
from botticelli.cli.shared.runners import progress, run_context
from botticelli.cli.shared.stage_run import Jitter, going_on, idle_words, priced, spent, stage_run
from botticelli.cli.shell.command import command
from botticelli.cli.shell.environment import Environment
from botticelli.cli.shell.output import Console, render
from botticelli.cli.work.adapt import adapting, print_adapted
from botticelli.errors import UsageError
from botticelli.stages.curate.stage import CurateDryRun, CurateReport, dry_run_curate
from botticelli.stages.curate.stage import curate as run_curate
from botticelli.text import counted

if TYPE_CHECKING:
    from botticelli.cli.shell.output import Listing
    from botticelli.stages.aside import AsideDryRun

SHOWN: Final = 5  # rejected candidates


@command(writes=True)
def curate(
    env: Environment,
    *,
    drain: bool = False,
    dry_run: bool = False,
    jitter: Jitter = None,
    calibrating: bool = False,
    models: choices.ModelNames = None,
    prompts: list[str] | None = None,
) -> "CurateReport | CurateDryRun | Listing | AsideDryRun":
    """Score pending candidates and approve the best.

    With --calibrate judge again what people have decided last, by other models or prompts, and say
    which judges best and what it costs; nothing is decided.

    Takes:
        drain: Continue until no candidate is pending.
        dry_run: Show batches, calls and cost; spend nothing.
        calibrating --calibrate: Compare judges with people's last 40 decisions.
        models --with MODEL: A model to try as the judge; may be repeated.
        prompts --prompt FILE: A narrative to judge by, as FILE or FILE.NAME; may be repeated.

    Examples:
        botticelli curate --dry-run
        botticelli curate --drain
        botticelli curate --calibrate --with gemini-3.8-flash --prompt stricter.toml
    """
    if not calibrating and (models or prompts):
        raise UsageError("--with and --prompt are for --calibrate")
    drain = drain or env.config.curate.drain
    with stage_run(env, "curate", jitter=jitter, dry_run=dry_run) as conn:
        if calibrating:
            from botticelli.cli.work.calibrate import compare

            return compare(run_context(env, conn), models or [], prompts or [], dry_run=dry_run)
        if dry_run:
            return dry_run_curate(run_context(env, conn), drain=drain)
        with progress(env, "judged") as show:
            report = run_curate(
                run_context(env, conn), drain=drain, watch=show, adapt=adapting(env, conn)
            )
        _complain(env, report)
        return report


def _complain(env: Environment, report: CurateReport) -> None:
    """Print what went wrong on stderr, which the log of a timer keeps."""
    for id_, why in report.missing.items():
        env.complain(f"candidate {id_}: {why}")
    for line in report.adapted.problems if report.adapted else ():
        env.complain(line)
    if report.reason:
        left = f"{counted(report.pending, 'candidate')} left"
        env.complain(f"curate: {report.reason}; {left}; run `{going_on(env)}` again")


@render.register
def _(report: CurateReport, console: Console) -> None:
    if report.skipped:
        console.line(f"nothing done: {idle_words('curate', report.skipped)}")
        return
    if report.idle:
        console.line(f"nothing to do: {report.idle}")
        print_adapted(report.adapted, console)
        return
    console.line(
        f"{report.judged} judged, {len(report.approved)} approved, {report.rejected} rejected",
        style="bold",
    )
    _show_choice(report, console)
    if report.set_aside:
        words = (
            "rejected before judging: empty or a duplicate (`botticelli review --view rejected`)"
        )
        console.line(f"  {report.set_aside} {words}")
    for id_, why in report.missing.items():
        console.line(f"  candidate {id_}: {why}", style="yellow")
    if report.pending:
        console.line(f"  {report.pending} left to judge")
    print_adapted(report.adapted, console)
    console.line("  " + spent(report, seconds=report.seconds))


def _show_best(report: CurateReport, console: Console) -> None:
    for one in report.approved:
        console.line(f"  approved c{one.id} with {one.score:g} of 50: {one.preview}", style="green")
    for one in report.proposed:
        console.line(f"  proposed c{one.id} with {one.score:g} of 50: {one.preview}", style="cyan")
    if report.proposed:
        console.line("  approve them with: botticelli review")


def _show_choice(report: CurateReport, console: Console) -> None:
    _show_best(report, console)
    for id_, why in report.perhaps.items():
        console.line(f"  held c{id_}: {why} (`botticelli review`)", style="yellow")
    if report.ranked:
        console.line(f"  {report.ranked} with equal totals were ranked by the judge")
    for id_, why in list(report.rejections.items())[:SHOWN]:
        console.line(f"  rejected c{id_}: {why}", style="red")
    if len(report.rejections) > SHOWN:
        console.line("  the others: botticelli review --view rejected --list")
    if report.reserved:
        console.line(f"  {report.reserved} kept in reserve")


@render.register
def _(report: CurateDryRun, console: Console) -> None:
    candidates = counted(report.candidates, "candidate")
    batches = counted(report.batches, "batch", "batches")
    console.line(f"{candidates} in {batches}", style="bold")
    console.line("  " + priced(report))
