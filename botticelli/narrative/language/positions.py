"""Where in its file an act or an input stands, for messages about what loading leaves open."""

import tomllib
from collections.abc import Iterator, Mapping
from typing import Any, Final

from botticelli.narrative.language.acts import REFERENCE, SECTIONS
from botticelli.narrative.language.inputs import PROMPTS
from botticelli.narrative.language.model import Act, Input, Narrative, NarrativeFile
from botticelli.toml_lines import Key

_HOLDERS: Final = ("narrative", "narration", "narratives")


class Places:
    """The keys of one file's acts and inputs; the nearest there is where a spelling is unusual."""

    def __init__(self, file: NarrativeFile) -> None:
        self._file = file
        try:
            self._document: Mapping[str, Any] = tomllib.loads(
                file.path.read_text(encoding="utf-8-sig")
            )
        except (OSError, ValueError):  # it was read from memory
            self._document = {}

    def inputs(self) -> Iterator[tuple[Key, Act, Input]]:
        """Yield each input of each act once, with its key."""
        seen: set[Key] = set()
        for narrative in self._file.narratives.values():
            for act in narrative.acts:
                key, raw = self.act(narrative, act.name)
                if key not in seen:
                    seen.add(key)
                    keys = _of_inputs(key, raw, count=len(act.inputs))
                    yield from zip(keys, [act] * len(keys), act.inputs, strict=True)

    def act(self, narrative: Narrative, name: str) -> tuple[Key, Any]:
        """Return the key of an act, and what stands there; None: it cannot be told."""
        for holder, place in self._homes(narrative):
            for section in SECTIONS:
                raw = holder.get(section)
                if isinstance(raw, dict) and name in raw:
                    return (*place, section, name), raw[name]
                if isinstance(raw, list):
                    for index, item in enumerate(raw):
                        if isinstance(item, dict) and item.get("name") == name:
                            return (*place, section, index), item
        return ("acts", name), None

    def _homes(self, narrative: Narrative) -> Iterator[tuple[Mapping[str, Any], Key]]:
        """Yield the tables that may hold the acts of a narrative, its own first."""
        for name in _HOLDERS:
            holder = self._document.get(name)
            if isinstance(holder, dict):
                own = holder.get(narrative.key)
                if isinstance(own, dict):
                    yield own, (name, narrative.key)
                yield holder, (name,)
        yield self._document, ()


def _of_inputs(act: Key, raw: Any, *, count: int) -> list[Key]:
    """Return the key of each of an act's inputs."""
    keys, items, place = list[Key](), raw, act
    if isinstance(raw, dict):
        prompts = [name for name in (*PROMPTS, "file") if name in raw]
        keys += [(*act, name) for name in prompts[:1]]
        name = next((name for name in ("input", "inputs") if name in raw), "")
        items, place = raw.get(name, []), (*act, name)
    if isinstance(items, list):
        keys += [_resource(item) or (*place, index) for index, item in enumerate(items)]
    else:
        keys.append(_resource(items) or place)
    return keys if len(keys) == count else [act] * count


def _resource(item: Any) -> Key:
    """Return the key of what an input refers to; () if it stands for itself."""
    text = item.get("ref") if isinstance(item, dict) else item
    if isinstance(text, str) and REFERENCE.fullmatch(text) and text[0] in "btm":
        section, _, name = text.partition(".")
        return (section, name)
    return ()
