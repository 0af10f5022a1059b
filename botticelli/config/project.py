"""What a project is: a folder with a botticelli.toml, and a name that its state goes by."""

import re
from dataclasses import field
from pathlib import Path

from botticelli.config.keys import key
from botticelli.records import record


@record
class Project:
    """The project: its name decides which database holds its state.

    Args:
        given: Name of the project; empty: that of its folder.
        share: Use a database that belongs to another project, too.
        root: Folder of botticelli.toml; None: there is no project here.
    """

    given: str = key("", name="name", pattern=r"^(\w([\w .-]{0,61}\w)?)?$", eg="my-channel")
    share: bool = key(False)
    root: Path | None = field(default=None, compare=False)

    @property
    def name(self) -> str:
        """The name that is given, else the folder's; empty: there is no project."""
        if self.given or self.root is None:
            return self.given
        # A folder's name may be any bytes.
        return self.root.resolve().name.encode(errors="replace").decode() or "root"

    @property
    def slug(self) -> str:
        """The name as databases and units can have it; no two names have the same."""
        plain = re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-")[:40].rstrip("-")
        if plain == self.name:
            return plain
        from hashlib import sha256

        digest = sha256(self.name.encode()).hexdigest()[:8]
        return f"{plain}-{digest}".lstrip("-")
