"""The stages, their last runs, and deliveries that need a person."""

from typing import Final

from starlette.responses import Response

from botticelli.config.model import STAGES
from botticelli.store import runs
from botticelli.store.delivery import decisions
from botticelli.store.reads.runs import past_runs
from botticelli.store.reads.status import read_status
from botticelli.web.app import Call, PageError
from botticelli.web.lives import tag

RUNS: Final = 20
NEEDS_PERSON: Final = ("held", "failed", "uncertain")


def show_stages(call: Call) -> Response:
    """Show what `botticelli status` and `botticelli deliveries held` show."""
    config = call.desk.config
    return call.show(
        "stages.html",
        state=read_status(call.conn, config, timers={}),
        runs=past_runs(call.conn, stage=None, limit=RUNS),
        deliveries=decisions.list_deliveries(call.conn, states=NEEDS_PERSON, limit=100),
        zone=config.time_zone,
        tag=tag,
        can_pause=call.may("approver"),
        can_settle=call.may("approver"),
    )


def change_stage(call: Call) -> Response:
    """Pause or resume a stage, or all of them."""
    name, do = call.form.get("stage", ""), call.form.get("do", "")
    if do not in ("pause", "resume") or name not in (*STAGES, "all"):
        raise PageError(400, "name a stage, and pause or resume")
    for stage in STAGES:
        if name in (stage, "all"):
            (runs.pause if do == "pause" else runs.resume)(call.conn, stage)
    return call.go("/stages")
