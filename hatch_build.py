"""What is made from the source when a wheel or an editable installation is built.

The JSON Schema of botticelli.toml, for editors, and the manual page. The commands have to be
imported for it: pyproject.toml names what that needs.
"""

import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class GeneratedFiles(BuildHookInterface[Any]):
    """Adds the schema and the manual page to a wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        """Write botticelli/config/schema.json, and the manual page to a temporary folder."""
        sys.path.insert(0, self.root)
        from botticelli.config.structure import schema
        from botticelli.platforms.open import ROOMS
        from tools.manual import page

        file = Path(self.root) / "botticelli" / "config" / "schema.json"
        file.write_text(
            json.dumps(schema(platforms=tuple(ROOMS)), indent=1) + "\n", encoding="utf-8"
        )
        build_data["artifacts"].append("/botticelli/config/schema.json")
        self.folder = TemporaryDirectory()
        manual = Path(self.folder.name) / "botticelli.1"
        manual.write_text(page(), encoding="utf-8")
        build_data["shared_data"][str(manual)] = "share/man/man1/botticelli.1"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002
        """Remove the temporary folder."""
        self.folder.cleanup()
