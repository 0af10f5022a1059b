"""Print the JSON Schema of botticelli.toml into the package, for editors, when it is built."""

import json
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class SchemaHook(BuildHookInterface[Any]):
    """Runs before a wheel or an editable installation is made."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        """Write botticelli/config/schema.json."""
        sys.path.insert(0, self.root)
        from botticelli.config.structure import schema

        file = Path(self.root) / "botticelli" / "config" / "schema.json"
        file.write_text(json.dumps(schema(), indent=1) + "\n", encoding="utf-8")
        build_data["artifacts"].append("/botticelli/config/schema.json")
