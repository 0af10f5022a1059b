"""What must never be shown, and texts shown without it.

A secret is hidden in every spelling that it takes on its way into a message: percent-encoded in a
URL, escaped in JSON or in what Python shows of a text. Passwords in addresses and connection
strings are hidden even if they are not registered.
"""

import dataclasses
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from botticelli import files
from botticelli.config.secrets import LARGEST, Secret
from botticelli.text import mapped

MASK: Final = "********"
SHORTEST: Final = 6  # anything shorter would blacken ordinary words
SHORTEST_GUESSED: Final = 8  # the same, where only a name says that a value is secret

# Names whose values are secret: of variables, and of options that only a plugin understands.
SECRET_NAME: Final = re.compile(
    r"TOKEN|SECRET|PASSW|PASSPHRASE|API_?KEY|(?:^|_)KEY$|PRIVATE|CREDENTIAL|WEBHOOK|COOKIE"
    r"|(?:^|_)AUTH$",
    re.IGNORECASE,
)
NOT_SECRET: Final = re.compile(r"CREDENTIALS_DIRECTORY|_(?:FILE|PATH|DIR)$", re.IGNORECASE)
HEADERS: Final = "_HEADERS"  # OpenTelemetry's: most often a key for the collector
# Keys of botticelli.toml with such values, besides those that are named like one.
SECRET_KEY: Final = re.compile(r"ping|on_\w+")

# Keys and tokens by their shape, of anybody. What stands in front of the mark stays readable.
# Compiled with the first text that is shown: it takes longer than many a tick has to say.
SHAPES: Final = (
    r"(?i)(?P<stays>\bdiscord(?:app)?\.com/api/(?:v\d+/)?webhooks/\d+/|\bhooks\.slack\.com/services/"
    r"|\bbearer +(?=[^\s\"']*\d)|\bauthorization\W{1,5}(?:\w+ +)?(?=[^\s\"']*\d)"
    r"|[?&;](?:key|api_?key|\w*token|sig|signature|client_secret|pass\w*)=)[^\s\"'<>&,;?]{8,}"
    r"|(?<![\w-])(?:AIza[\w-]{30,}|AQ\.[\w-]{20,}|ya29\.[\w-]{20,}|mfa\.[\w-]{20,}"
    r"|(?:sk|pk|rk|gsk|xai|pplx|r8|hf|npm|csk|nvapi|glpat|tgp_v1)[-_](?=[\w-]*\d)[\w-]{16,}"
    r"|xox[a-z]-[\w-]{10,}|xapp-[\w-]{10,}|gh[pousr]_\w{20,}|github_pat_\w{20,}|AKIA[A-Z0-9]{16}"
    r"|eyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?|\d{8,10}:[\w-]{35}(?![\w-])"
    r"|[A-Za-z\d][\w-]{22,30}\.[\w-]{6}\.[\w-]{27,})"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----[^-]*(?:-----END [A-Z ]*PRIVATE KEY-----)?"
)
# What each of these has somewhere: most lines that an idle tick prints have none of it.
MAY_HOLD_SHAPE: Final = re.compile(r"[\d=/]|[\w-]{11}|-----")
LONG_WORD: Final = re.compile(r"[\w.-]{20,200}")  # as keys and tokens are
URL: Final = re.compile(r"([A-Za-z][\w+.-]*)://([^\s'\"<>]+)")
# PASSWORD in capitals is our own advice how to write it.
IN_URL: Final = re.compile(r"(://[^\s/:@'\"<>]*:)(?!PASSWORD@)[^\s/@'\"<>]+(?=@)")
IN_PAIRS: Final = re.compile(
    r"(\b(?:ssl)?password\s*=\s*)('(?:\\.|[^'\\])*'|[^\s'\"&,;)]+)", re.IGNORECASE
)
LIBPQ: Final = re.compile(
    r"\b(?:ssl)?password\s*=\s*('(?:\\.|[^'\\])*'|(?:\\.|[^\s&'])+)", re.IGNORECASE
)


class Hider:
    """Hides the secrets it was given.

    Attributes:
        former: Whether a long word is a secret that was in use before.

    Args:
        secrets: As they are meant; what is shorter than six characters is left alone.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        self.secrets = tuple(dict.fromkeys(one for one in secrets if len(one) >= SHORTEST))
        self.former: Callable[[str], bool] = lambda _word: False
        known = {spelt for one in self.secrets for spelt in _spellings(one)}
        self._known = re.compile("|".join(map(_found_in, sorted(known, key=len, reverse=True))))

    def hide(self, text: str) -> str:
        """Return `text` with asterisks in place of every secret in it."""
        if self._known.pattern:
            text = self._known.sub(MASK, text)
        text = LONG_WORD.sub(lambda found: MASK if self.former(found[0]) else found[0], text)
        if MAY_HOLD_SHAPE.search(text):
            text = re.sub(SHAPES, lambda found: (found["stays"] or "") + MASK, text)
        text = IN_URL.sub(rf"\1{MASK}", text)
        return IN_PAIRS.sub(rf"\1{MASK}", text)

    def hide_within(self, value: Any) -> Any:
        """Return `value` as JSON can hold it, with every text in it hidden, keys too."""
        plain = (bool, int, float, type(None))
        return mapped(value, lambda one: one if isinstance(one, plain) else self.hide(str(one)))


def _found_in(secret: str) -> str:
    """Return what finds it: a short word of letters only for itself, not inside of others."""
    is_word = secret.isalpha() and len(secret) < 2 * SHORTEST
    return rf"\b{secret}\b" if is_word else re.escape(secret)


def use(source: Callable[[], Hider]) -> None:
    """Let everything in this process hide what `source` hides; it is asked each time."""
    _source[:] = [source]


def current() -> Hider:
    """Return what hides the secrets that this process knows: for whatever is stored or printed."""
    return _source[0]()


_NOBODYS: Final = Hider(())
_source: Final[list[Callable[[], Hider]]] = [lambda: _NOBODYS]


def secrets_of(config: Any) -> list[str]:
    """Return every secret that a configuration holds, with the parts that would reveal it."""
    found: list[str] = []
    for secret in _secrets_within(config):
        found += [secret, *_pieces(secret)]
    # A hook that is a program's name and nothing else is a word such as "notify-send".
    told = (target.reveal() for key, target in config.hooks.targets() if not key.endswith(".ping"))
    programs = {text for text in told if re.fullmatch(r"[\w./-]+", text)}
    found = [text for text in found if text not in programs]
    for destination in config.destinations.values():
        found += secrets_in_table(destination.options)
    found += passwords_in(config.database.url)
    return list(dict.fromkeys(text for text in found if text))


def secrets_in_table(table: Any, *, key: str = "") -> list[str]:
    """Return what stands under keys that are named like a secret, and the passwords in texts."""
    if isinstance(table, Mapping):
        return [
            text
            for name, value in table.items()
            for text in secrets_in_table(value, key=key if is_secret_name(key) else str(name))
        ]
    if isinstance(table, list | tuple):
        return [text for value in table for text in secrets_in_table(value, key=key)]
    text = table.reveal() if isinstance(table, Secret) else str(table)
    if is_secret_name(key) or SECRET_KEY.fullmatch(key):
        return [text, *_pieces(text)]
    return passwords_in(text)


def secrets_of_environment(environ: Mapping[str, str]) -> list[str]:
    """Return the values that variables, credentials and named files keep secret."""
    from urllib.parse import unquote

    found: list[str] = []
    for name, value in environ.items():
        if SECRET_NAME.search(name.removesuffix("_FILE")) and name.endswith("_FILE"):
            found.append(_content(Path(value)))
        elif is_secret_name(name) and len(value) >= SHORTEST_GUESSED:
            found += [value.strip(), *_pieces(value)]
        elif name.endswith(HEADERS):
            for pair in value.split(","):  # NAME=VALUE, percent-encoded
                text = unquote(pair.partition("=")[2] or pair).strip()
                found += [text, *filter(_looks_random, text.split())]
        else:
            found += passwords_in(value)
    if folder := environ.get("CREDENTIALS_DIRECTORY"):
        with suppress(OSError):
            found += map(_content, sorted(Path(folder).iterdir()))
    contents = [text for text in found if text]
    return [*contents, *(password for text in contents for password in passwords_in(text))]


def passwords_in(text: str) -> list[str]:
    """Return the passwords in an address or a libpq connection string, as written and as meant."""
    from urllib.parse import unquote, unquote_plus

    found = []
    for match in URL.finditer(text):
        rest = match[2]
        places = (rest.partition("/")[0], rest)  # the second: a / in it was not encoded
        found += [place.rpartition("@")[0].partition(":")[2] for place in places]
    for value in LIBPQ.findall(text):
        found.append(re.sub(r"\\(.)", r"\1", value[1:-1] if value[:1] == "'" else value))
        found.append(unquote_plus(value))
    return [each for one in found if one for each in (one, unquote(one))]


def is_secret_name(name: str) -> bool:
    """Return whether the value of a variable or key of that name is secret."""
    return bool(SECRET_NAME.search(name)) and not NOT_SECRET.search(name)


def _secrets_within(value: Any) -> Iterator[str]:
    """Yield every Secret in a record, however deep: a new one must not wait to be named here."""
    if isinstance(value, Secret):
        yield value.reveal()
    elif dataclasses.is_dataclass(value):
        for each in dataclasses.fields(value):
            yield from _secrets_within(getattr(value, each.name))
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _secrets_within(inner)
    elif isinstance(value, tuple | list):
        for inner in value:
            yield from _secrets_within(inner)


def _pieces(text: str) -> Iterator[str]:
    """Yield the parts of an address or a command that give it away: paths, keys, arguments.

    What fails shows them apart: requests names a path without its host, a command its arguments.
    """
    for scheme, rest in URL.findall(text):
        yield f"{scheme}://{rest}"
        place, _, path = rest.partition("/")
        shown = path if scheme in ("http", "https") else f"{place}/{path}"
        if "/" in path or "?" in path:  # one word may be any: /status, /notify
            yield path
        yield from filter(_looks_random, re.split(r"[/?&=@:#]", shown))
    yield from passwords_in(text)
    if " " in text:
        yield from filter(_looks_random, re.split(r"[\s=:'\"]", text))


def _looks_random(word: str) -> bool:
    """Return whether a word is a key rather than a name; ids, which are digits alone, are none."""
    if len(word) < SHORTEST_GUESSED or word.isdigit() or word.startswith(("-", "/", ".")):
        return False
    return len(word) >= 20 or any(c.isdigit() for c in word) or word not in (
        word.lower(), word.upper(), word.capitalize()
    )  # fmt: skip


def _spellings(secret: str) -> Iterator[str]:
    """Yield a secret as URLs, JSON and Python spell it."""
    import json
    from urllib.parse import quote, quote_plus, unquote

    yield secret
    yield unquote(secret)
    raw = secret.encode("utf-8", "surrogateescape")
    for encoded in (quote(raw, safe=""), quote(raw), quote_plus(raw)):
        yield encoded
        yield re.sub("%[0-9A-F]{2}", lambda found: found[0].lower(), encoded)
    for text in (secret, secret.replace("'", "\\'")):
        yield json.dumps(text)[1:-1]
    yield json.dumps(secret, ensure_ascii=False)[1:-1]
    for shown in (repr(secret), ascii(secret)):
        yield shown[1:-1]
    yield secret.replace("\\", "\\\\")
    yield repr(raw)[2:-1]


def _content(path: Path) -> str:
    """Return what a file holds; nothing if it cannot be a secret of ours."""
    try:
        return files.read(path, limit=LARGEST).decode().strip()
    except (OSError, ValueError):
        return ""
