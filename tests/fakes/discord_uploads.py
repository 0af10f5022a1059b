"""Files of messages: forms of multipart/form-data to the letter, and what is kept of a file."""

import json
import re
from dataclasses import dataclass
from typing import Any

from tests.fakes.discord_errors import Fail, bad_field
from tests.fakes.discord_routing import Call
from tests.fakes.loopback import Request

LARGEST_FILE = 10 * 1024 * 1024
LARGEST_REQUEST = 25 * 1024 * 1024
_FILE = re.compile(r"files\[(\d+)\]")
_WORD = re.compile(r';\s*(\w+)="((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True, kw_only=True)
class Part:
    """One part of a form."""

    name: str
    filename: str
    mime: str
    content: bytes


def is_form(request: Request) -> bool:
    """Return whether a request is a form with files."""
    return request.headers.get("content-type", "").startswith("multipart/form-data")


def parts(request: Request) -> list[Part]:
    """Return the parts of a form; Fail 50035 if it is none."""
    found = re.search(r"boundary=\"?([^\";]+)", request.headers.get("content-type", ""))
    if len(request.body) > LARGEST_REQUEST:
        raise Fail(40005)
    if not found:
        raise bad_field("", "CONTENT_TYPE_INVALID", "a form needs a boundary")
    mark = b"--" + found[1].encode()
    first, *pieces = (b"\r\n" + request.body).split(b"\r\n" + mark)
    if first or not pieces or pieces[-1] not in {b"--", b"--\r\n"}:
        raise bad_field("", "CONTENT_TYPE_INVALID", "the form does not end")
    return [_part(piece) for piece in pieces[:-1]]


def _part(piece: bytes) -> Part:
    head, _, content = piece.removeprefix(b"\r\n").partition(b"\r\n\r\n")
    headers = {}
    for line in head.decode().split("\r\n"):
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    words = dict(_WORD.findall(headers.get("content-disposition", "")))
    if not headers.get("content-disposition", "").startswith("form-data") or "name" not in words:
        raise bad_field("", "CONTENT_TYPE_INVALID", "a part has no name")
    mime = headers.get("content-type", "")
    return Part(name=words["name"], filename=words.get("filename", ""), mime=mime, content=content)


def form_of(request: Request) -> Any:
    """Return what stands in the field payload_json; Fail 50109 if that is not JSON."""
    for part in parts(request):
        if part.name == "payload_json" and not part.filename:
            if part.mime != "application/json":
                raise bad_field("payload_json", "CONTENT_TYPE_INVALID", "it is application/json")
            try:
                return json.loads(part.content)
            except ValueError:
                raise Fail(50109) from None
    raise bad_field("payload_json", "BASE_TYPE_REQUIRED", "This field is required")


def attached(call: Call) -> list[dict[str, Any]]:
    """Return the attachments of a new message; each file is named once in `attachments`."""
    named = {str(one["id"]): one for one in call.body.get("attachments") or ()}
    sent = _files(call)
    if named.keys() != sent.keys():
        words = "attachments and files[n] do not name the same files"
        raise bad_field("attachments", "ATTACHMENT_NOT_FOUND", words)
    return [_kept(call, named[number], part) for number, part in sent.items()]


def kept(call: Call, there: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the attachments after an edit: those that it names, and no others."""
    known = {one["id"]: one for one in there}
    left = []
    for one in call.body["attachments"]:
        if str(one["id"]) not in known:
            words = f"no attachment {one['id']}"
            raise bad_field("attachments", "ATTACHMENT_NOT_FOUND", words)
        changed = {"description": one["description"]} if "description" in one else {}
        left.append({**known[str(one["id"])], **changed})
    return left


def _files(call: Call) -> dict[str, Part]:
    if not is_form(call.request):
        return {}
    found: dict[str, Part] = {}
    for part in parts(call.request):
        if part.name == "payload_json":
            continue
        match = _FILE.fullmatch(part.name)
        if match is None or not part.filename:
            raise bad_field(part.name, "CONTENT_TYPE_INVALID", "files are files[n], with a name")
        if len(part.content) > LARGEST_FILE:
            raise Fail(50045)
        found[match[1]] = part
    return found


def _kept(call: Call, named: dict[str, Any], part: Part) -> dict[str, Any]:
    name = named.get("filename") or part.filename
    made: dict[str, Any] = {
        "id": call.world.new_id(),
        "filename": re.sub(r"[^\w.-]", "_", name),
        "size": len(part.content),
        "content_type": part.mime,
    }
    address = f"https://cdn.discordapp.com/attachments/1/{made['id']}/{made['filename']}"
    made |= {"url": f"{address}?ex=1&is=1&hm=1", "proxy_url": address}
    return made | ({"description": named["description"]} if named.get("description") else {})
