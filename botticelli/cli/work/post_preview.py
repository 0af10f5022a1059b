"""How `post --dry-run` shows what would be sent: loaded with it, not with a tick."""

import json
from collections.abc import Mapping
from operator import itemgetter
from typing import Any

from botticelli.cli.shell.output import Console, render
from botticelli.stages.post.dry_run import DestinationDryRun, PostDryRun, dry_run_post
from botticelli.text import minute_face

__all__ = ["dry_run_post"]


@render.register
def _(report: PostDryRun, console: Console) -> None:
    for preview in report.previews:
        _show_preview(preview, console)


def _show_preview(preview: DestinationDryRun, console: Console) -> None:
    when = f" (due at {minute_face(preview.due_at)})" if preview.due_at else ""
    console.line(f"{preview.destination}: {preview.why}{when}", style="bold")
    for line in preview.problem.splitlines():
        console.line(f"  to be fixed: {line}", style="red")
    for held in preview.held:
        console.line(f"  post {held.post} would be held: {held.why}", style="yellow")
        console.line(f"    {held.text}")
    if preview.post is not None:
        console.line(f"  post {preview.post}: {preview.text}")
    facts = [(verdict.rule, verdict.why or "passes") for verdict in preview.verdicts]
    facts += [("rendition", preview.rendition), ("price", preview.price)]
    for label, said in filter(itemgetter(1), facts):
        console.line(f"  {label}: {said}")
    for number, message in enumerate(preview.messages, start=1):
        price = f", ${message.dollars.normalize():f}" if message.dollars else ""
        which = f"message {number} of {len(preview.messages)}"
        console.line(f"  {which}: {message.length} of {message.most} characters{price}")
        for request in message.requests:
            _show_request(request, console)


def _show_request(request: Mapping[str, Any], console: Console) -> None:
    console.line(f"  {request['method']} {request['url']}")
    for key, body in request.items():
        if key not in ("method", "url"):
            said = json.dumps(body, indent=2, ensure_ascii=False)
            label = "" if key == "json" else f"{key}: "
            console.line("  " + label + said.replace("\n", "\n  "))
