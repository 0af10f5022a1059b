"""No model at all: a small stand-in that makes first steps possible without a key.

It writes filler that says so, fills any JSON Schema and judges nothing: every post has the same
points, with that as the reason. What it says is decided by the prompt alone. `model_version` is
"offline", so that nothing of it can pass for more.
"""

import json
import random
import re
from collections.abc import Mapping
from typing import Any, Final

from botticelli.models.base import Reply, Request
from botticelli.models.driver import Driver
from botticelli.models.images.drawn import drawn_picture
from botticelli.models.offline.fill import Schema, fill
from botticelli.models.prompts import last_user_text, readable
from botticelli.text import shorten

NAME = "offline"
FILLER: Final = "Filler text"  # how every text of the offline model begins
# Latin without a meaning, as printers set it: so many words that no two texts count as repeats.
LATIN: Final = """
    lorem ipsum dolor sit amet consectetur adipiscing elit sed eiusmod tempor incididunt labore
    dolore magna aliqua enim minim veniam quis nostrud exercitation ullamco laboris nisi aliquip
    commodo consequat duis aute irure reprehenderit voluptate velit esse cillum fugiat nulla
    pariatur excepteur sint occaecat cupidatat non proident sunt culpa officia deserunt mollit
    anim laborum perspiciatis unde omnis iste natus error accusantium doloremque laudantium totam
    rem aperiam eaque ipsa quae inventore veritatis quasi architecto beatae vitae dicta explicabo
    nemo ipsam quia voluptas aspernatur odit fugit consequuntur magni ratione sequi nesciunt neque
    porro quisquam dolorem adipisci numquam eius modi tempora incidunt magnam quaerat minima
    nostrum ullam corporis suscipit laboriosam aliquid commodi autem vel eum iure quam nihil
    molestiae illum quo vero accusamus iusto odio dignissimos ducimus blanditiis praesentium
    deleniti atque corrupti quos dolores quas molestias excepturi similique mollitia animi harum
    quidem rerum facilis expedita distinctio nam libero tempore cum soluta nobis eligendi optio
    cumque impedit minus quod maxime placeat facere possimus assumenda repellendus temporibus
    quibusdam officiis debitis necessitatibus saepe eveniet voluptates repudiandae recusandae
    itaque earum hic tenetur sapiente delectus reiciendis voluptatibus maiores alias perferendis
    doloribus asperiores repellat
""".split()  # noqa: SIM905 - a list of strings is no better to read
ALT: Final = f"{FILLER} for a picture: squares of two colors in a pattern."
KNOWN: Final = {
    "content_type": "post",
    "source": "offline",
    "alt": ALT,
    "risky": "",
    "contains_text": "",
}
CRITERIA: Final = ("engagement", "clarity", "value", "tone", "polish")
UNJUDGED: Final = 7  # points for each criterion: what is approved by default, and no more
NOT_JUDGED: Final = "not judged: the offline model gives every post these points"
_ABOUT = re.compile(r"\babout ([^.\n,:;!?]{3,60})", re.IGNORECASE)
_WANTS_JSON = re.compile(r"\bjson\b", re.IGNORECASE)
_ID = re.compile(r'"id":\s*"?([\w-]+)"?,\s*"text_content":')
_DRAFT = re.compile(rf"draft:\s+({FILLER} for a post[^?]*\?)")
_TEXT = re.compile(r'"text_content":\s*("(?:[^"\\]|\\.)*")')


class Offline(Driver[None]):
    """See Model. Has no state, so threads may share it."""

    provider = NAME

    def generate(self, request: Request) -> Reply:
        """See Model. Never fails, costs nothing, counts no tokens."""
        if request.image is not None:
            image = drawn_picture(readable(request))
            return Reply(text="", image=image, finish_detail="STOP", model_version=NAME)
        return Reply(text=_Writer(request).answer(), finish_detail="STOP", model_version=NAME)

    def _make(self) -> None:
        """There is nothing to make."""


class _Writer:
    """One answer, drawn from the prompt."""

    def __init__(self, request: Request) -> None:
        self._schema = request.schema
        self._prompt = readable(request)
        self._asked = last_user_text(request.messages)
        self._chance = random.Random(self._prompt.encode("utf-8", "replace"))  # noqa: S311 - not for secrets
        quoted = _DRAFT.search(self._asked)  # by an act that gets no history
        self._draft = quoted[1] if quoted else _draft_in(request)

    def answer(self) -> str:
        if self._schema is not None:
            return json.dumps(fill(self._schema, value=self._value), ensure_ascii=False, indent=1)
        if _WANTS_JSON.search(self._asked):
            row = {"text_content": self._text(), "content_type": "post", "source": NAME}
            return json.dumps({**row, "tags": ["filler"]}, ensure_ascii=False, indent=1)
        return self._post()

    def _value(self, name: str, schema: Schema) -> Any:
        """Return what this model knows better than the schema; None for everything else."""
        if _is_scores(schema):
            return self._scores(schema["items"])
        if name == "text_content":
            text, longest = self._text(), schema.get("maxLength")
            return text if longest is None or len(text) <= longest else shorten(text, longest)
        if schema.get("enum"):
            return self._chance.choice(schema["enum"])
        if name == "order":
            return schema.get("items", {}).get("enum") or _ID.findall(self._prompt) or None
        return KNOWN.get(name)

    def _scores(self, entry: Schema) -> list[dict[str, Any]]:
        """Return an entry for each post; nobody has judged them, and each says so."""
        ids = entry["properties"]["id"].get("enum") or _ID.findall(self._prompt)
        said: dict[str, Any] = dict.fromkeys(CRITERIA, UNJUDGED)
        said |= {"reasons": NOT_JUDGED, "notes": NOT_JUDGED}
        blank = fill(entry, value=lambda name, _: said.get(name))
        asked = entry.get("required") or blank  # it grounds nothing in any source
        return [{name: blank[name] for name in asked if name in blank} | {"id": id_} for id_ in ids]

    def _text(self) -> str:
        """Return the post of an earlier act, once; else a new one."""
        text, self._draft = self._draft or self._post(), ""
        return text

    def _post(self) -> str:
        # A long prompt's "about" is rarely what its post is about.
        topic = _ABOUT.search(self._asked) if len(self._asked) < 300 else None
        about = f" about {topic[1].strip()}" if topic else ""
        first, *others = (" ".join(self._chance.choices(LATIN, k=11)) for _ in range(4))
        second, third, last = map(str.capitalize, others)
        return f"{FILLER} for a post{about}: {first}.\n\n{second}. {third}.\n\n{last}?"


def _draft_in(request: Request) -> str:
    """Return the post of an earlier act, which is to be kept; empty if there is none."""
    for message in reversed(request.messages):
        text = message.text.strip()
        if message.role == "assistant" and text.startswith(FILLER):
            return text
        if message.role == "assistant" and (found := _TEXT.search(text)):
            return str(json.loads(found[1], strict=False))
    return ""


def _is_scores(schema: Schema) -> bool:
    items = schema.get("items")
    properties = items.get("properties", {}) if isinstance(items, Mapping) else {}
    return "id" in properties and not properties.keys().isdisjoint(CRITERIA)
