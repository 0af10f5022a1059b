"""Scripted faults of the fake Discord.

Instead of doing anything: "hang up before storing", "reset before storing", "hang", a status
("503"), "502 html", "403 html", "429", "429:SECONDS", "429 global", "429 shared",
"429 without json", "STATUS:CODE" ("403:50013"). After doing it: "hang up after storing",
"reset after storing", "hang after storing", "500 after storing", "slow:N" (answers N s later).
"wait:N" does it N s later.
"""

from dataclasses import replace
from http import HTTPStatus

from tests.fakes.discord_errors import Fail, too_many, unauthorized
from tests.fakes.loopback import Answer, answer_html, answer_json


def happens_after(fault: str) -> bool:
    """Return whether a fault lets the action happen and spoils the answer only."""
    return fault.endswith("after storing") or fault.startswith("slow:")


def broken(fault: str) -> Answer:
    """Return what a fault sends instead of doing anything."""
    ending = fault.removesuffix(" before storing").replace("hang up", "close")
    if ending in {"close", "reset", "hang"}:
        return Answer(ending=ending)
    if fault.endswith(" html"):
        status = int(fault[:3])
        return answer_html(status, f"{status} {HTTPStatus(status).phrase}")
    if fault.startswith("429"):
        return _scripted_429(fault)
    return unauthorized() if fault == "401" else _refusal(fault)


def _refusal(fault: str) -> Answer:
    status, _, code = fault.partition(":")
    if code:
        return Fail(int(code)).answer(status=int(status))
    words = HTTPStatus(int(status)).phrase
    return answer_json({"message": f"{status}: {words}", "code": 0}, status=int(status))


def _scripted_429(fault: str) -> Answer:
    seconds = float(fault.partition(":")[2] or 0.75)
    if fault == "429 without json":
        return answer_html(
            429, "Error 1015: You are being rate limited", headers=(("Retry-After", "1"),)
        )
    scope = {"429 global": "global", "429 shared": "shared"}.get(fault, "user")
    return too_many(seconds, scope=scope)


def spoiled(answer: Answer, fault: str) -> Answer:
    """Return what the client sees of an action that was carried out."""
    if fault.startswith("slow:"):
        return replace(answer, delay=float(fault[5:]))
    if not happens_after(fault):
        return answer
    what = fault.removesuffix(" after storing").replace("hang up", "close")
    if what in {"close", "reset", "hang"}:
        return Answer(ending=what)
    return broken(what)
