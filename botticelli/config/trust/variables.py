"""Which variables of the environment narratives may read: ids, and what botticelli.toml lists."""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from botticelli.config.hiding import MASK, Hider, is_secret_name
from botticelli.config.leaks import find_leak
from botticelli.errors import ConfigError

# Ids need no list: a name such as TEST_GUILD_ID with digits.
AN_ID: Final = re.compile(r"[A-Z][A-Z0-9_]*_IDS?")
DIGITS: Final = re.compile(r"[0-9]{1,25}(?:[ ,;]+[0-9]{1,25})*")
OURS: Final = "BOTTICELLI_CONTEXT_PATH"  # where files of narratives are looked up
SHAPES: Final = Hider(())


class VisibleVariables:
    """What narratives see of an environment.

    Args:
        environ: All variables.
        listed: [narratives] environment.
        secrets: Texts that are secret, whatever they are called.
    """

    def __init__(
        self, environ: Mapping[str, str], *, listed: Sequence[str], secrets: Sequence[str]
    ) -> None:
        self._environ = environ
        self._listed = frozenset(listed)
        self._secrets = secrets

    @property
    def values(self) -> dict[str, str]:
        """The variables that may be read."""
        ids = (n for n in self._environ if AN_ID.fullmatch(n) and DIGITS.fullmatch(self._get(n)))
        names = {*ids, *(self._listed & self._environ.keys())}
        kept = {name: self._environ[name] for name in names if not self._is_secret(name)}
        return kept | {OURS: self._environ[OURS]} if OURS in self._environ else kept

    def refuse(self, name: str) -> None:
        """Check that a variable that a narrative names is one that it may read, if it is set.

        Raises:
            ConfigError: It is not; the hint is the line to add.
        """
        if not self._get(name) or name in self.values:
            return
        if self._is_secret(name):
            raise ConfigError(f"{name} holds a secret, which no narrative may read", where=name)
        listed = ", ".join(f'"{each}"' for each in sorted({*self._listed, name}))
        raise ConfigError(
            "no narrative may read this variable",
            where=name,
            hint=f"to allow it: [narratives] environment = [{listed}] in botticelli.toml",
        )

    def _get(self, name: str) -> str:
        return self._environ.get(name, "")

    def _is_secret(self, name: str) -> bool:
        value = self._get(name)
        is_known = find_leak(value, self._secrets) or value.strip() in self._secrets
        return bool(is_secret_name(name) or is_known or MASK in SHAPES.hide(value))
