"""No model at all: a small stand-in that makes first steps possible without a key.

It writes filler that says so (words.py), fills any JSON Schema and judges nothing: every post has
the same points, with that as the reason. What it says is decided by the prompt alone.
`model_version` is "offline", so that nothing of it can pass for more.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from botticelli.models.base import Reply, Request
from botticelli.models.driver import Driver
from botticelli.models.offline.fill import Schema, fill
from botticelli.models.offline.words import FILLER, KINDS, LATIN
from botticelli.models.prompts import last_user_text, readable
from botticelli.text import shorten

NAME = "offline"
_TOPIC = re.compile(
    r"^\s*(?:topic|theme|subject)\s*:\s*(.{3,80}?)\s*$", re.IGNORECASE | re.MULTILINE
)
_ABOUT = re.compile(r"\babout ([^.\n,:;!?]{3,60})", re.IGNORECASE)
_CRITIQUE = re.compile(r"\bcriti(?:que|cism|cise|cize)|\beditor\b|\breview the\b", re.IGNORECASE)
_WANTS_JSON = re.compile(r"\bjson\b", re.IGNORECASE)
CRITERIA = ("engagement", "clarity", "value", "tone", "polish")
UNJUDGED = 7  # points for each criterion: what is approved by default, and no more
NOT_JUDGED = "not judged: the offline model gives every post these points"


class Offline(Driver[None]):
    """See Model. Has no state, so threads may share it."""

    provider = NAME

    def generate(self, request: Request) -> Reply:
        """See Model. Never fails, costs nothing, counts no tokens."""
        return Reply(text=_Writer(request).answer(), finish_detail="STOP", model_version=NAME)

    def _make(self) -> None:
        """There is nothing to make."""


class _Writer:
    """One answer. Every choice is drawn from the prompt's hash and the choice's own name."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._prompt = readable(request)
        self._asked = last_user_text(request.messages)
        self._seed = hashlib.sha256(self._prompt.encode("utf-8", "replace")).digest()
        self._draws = 0
        self._kind = _kind(request)
        self._given = _draft_in(request)

    def answer(self) -> str:
        schema = self._request.schema
        if schema is not None:
            return json.dumps(fill(schema, value=self._value), ensure_ascii=False, indent=1)
        if _WANTS_JSON.search(self._asked):
            return json.dumps(self._row(), ensure_ascii=False, indent=1)
        if self._request.messages[:-1] and _CRITIQUE.search(self._asked):
            return f"1. {FILLER} for a critique: {self._latin()}."
        return self._post()

    def _row(self) -> dict[str, Any]:
        return {
            "text_content": self._given or self._post(),
            "content_type": self._kind,
            "source": NAME,
            "tags": self._tags(),
        }

    def _value(self, name: str, schema: Schema) -> Any:
        """Return what this model knows better than the schema; None for everything else."""
        if _is_scores(schema) or name == "order":
            return self._scores(schema) if _is_scores(schema) else self._order()
        if name == "text_content":
            text, self._given = self._given or self._post(), ""
            return _within(text, schema.get("maxLength"))
        if schema.get("enum"):
            return self._kind if self._kind in schema["enum"] else None
        if name == "tags" and schema.get("type") == "array":
            return self._tags()[: int(schema.get("maxItems", 2))]
        return {"content_type": self._kind, "source": NAME}.get(name)

    def _scores(self, schema: Schema) -> list[dict[str, Any]]:
        """Return an entry for each post; nobody has judged them, and each says so."""
        properties = schema["items"]["properties"]
        ids = properties["id"].get("enum") or _ids_in(self._prompt)
        points: dict[str, Any] = dict.fromkeys(CRITERIA, UNJUDGED)
        said = {**points, "reasons": NOT_JUDGED, "notes": NOT_JUDGED}
        known = {name: value for name, value in said.items() if name in properties}
        blank = fill(schema["items"], value=_agrees)
        return [{**blank, **known, "id": id_} for id_ in ids]

    def _order(self) -> list[str] | None:
        """Return the ids of the prompt's posts as they come."""
        return _ids_in(self._prompt) or None

    def _tags(self) -> list[str]:
        return [self._kind, "filler"]

    def _post(self) -> str:
        topic = _topic(self._asked)
        about = f" about {topic}" if topic else ""
        head = f"{FILLER} for a {self._kind.replace('_', '-')} post{about}: {self._latin()}."
        middle = f"{self._latin().capitalize()}. {self._latin().capitalize()}."
        return f"{head}\n\n{middle}\n\n{self._latin().capitalize()}?"

    def _latin(self) -> str:
        """Return a sentence without a meaning, of other words for each prompt and place."""
        return " ".join(self._choice(LATIN) for _ in range(11))

    def _choice(self, options: Sequence[str]) -> str:
        self._draws += 1
        drawn = hashlib.sha256(self._seed + self._draws.to_bytes(4, "big")).digest()
        return options[int.from_bytes(drawn[:8], "big") % len(options)]


def _agrees(_name: str, schema: Schema) -> Any:
    """Say yes to a question that the rules know nothing about."""
    return True if schema.get("type") == "boolean" else None


def _within(text: str, longest: int | None) -> str:
    """Return as many of the paragraphs as fit; of a first one that does not, its beginning."""
    if longest is None or len(text) <= longest:
        return text
    paragraphs = text.split("\n\n")
    while len(paragraphs) > 1 and len("\n\n".join(paragraphs)) > longest:
        paragraphs.pop()
    return "\n\n".join(paragraphs) if len(paragraphs) > 1 else shorten(paragraphs[0], longest)


def _kind(request: Request) -> str:
    """Return what sort of post is asked for, by the words of the newest wish to write one."""
    text = "\n".join(m.text for m in request.messages if m.role == "user").lower()
    wish = text[max(text.rfind("write one"), text.rfind("write a"), 0) :][:400]
    counts = {kind: sum(wish.count(word) for word in words) for kind, words in KINDS.items()}
    best = max(counts, key=lambda kind: counts[kind])
    return best if counts[best] else "community"


def _topic(asked: str) -> str:
    """Return the topic that the prompt names; a long prompt's "about" is rarely one."""
    found = _TOPIC.search(asked) or (_ABOUT.search(asked) if len(asked) < 300 else None)
    return found[1].strip() if found else ""


def _draft_in(request: Request) -> str:
    """Return the post of an earlier act, which is to be kept; empty if there is none."""
    for message in reversed(request.messages):
        if message.role != "assistant":
            continue
        text = message.text.strip()
        for row in _rows_in(text):
            if isinstance(row.get("text_content"), str):
                return str(row["text_content"])
        if 150 <= len(text) <= 2000 and text[0] not in "{[1-":
            return text
    return ""


def _ids_in(text: str) -> list[str]:
    """Return the ids of the posts that stand as JSON in a prompt."""
    return [str(row["id"]) for row in _rows_in(text) if "id" in row and "text_content" in row]


def _rows_in(text: str) -> list[Mapping[str, Any]]:
    decoder, at = json.JSONDecoder(strict=False), 0
    rows: list[Mapping[str, Any]] = []
    while (start := _opening(text, at)) >= 0:
        try:
            value, at = decoder.raw_decode(text, start)
        except ValueError:
            at = start + 1
            continue
        rows += [
            row for row in (value if isinstance(value, list) else [value]) if isinstance(row, dict)
        ]
    return rows


def _opening(text: str, at: int) -> int:
    places = [place for place in (text.find("{", at), text.find("[", at)) if place >= 0]
    return min(places, default=-1)


def _is_scores(schema: Schema) -> bool:
    items = schema.get("items")
    if not isinstance(items, Mapping):
        return False
    properties = items.get("properties") or {}
    return "id" in properties and any(name in properties for name in CRITERIA)
