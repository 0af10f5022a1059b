"""The figures of docs/architecture.md: `python -m tools.house`.

Lines are those of the files, comments and blank ones included. An importer is a module that
imports another one when it runs, in a function too; a package's `__init__` counts for none.
"""

from collections import defaultdict
from pathlib import Path

import botticelli
from tests.test_house import classes_named_twice, imported, modules

HOUSE = Path(botticelli.__file__).parent


def main() -> None:
    """Print lines, modules, modules with one importer and class names that stand twice."""
    found = [each for each in modules(HOUSE) if each[1].name != "__init__.py"]
    names = {name for name, _, _ in found}
    importers = defaultdict(set)
    for name, _, tree in modules(HOUSE):
        for each in set(imported(tree)) & names:
            importers[each].add(name)
    lines = sum(len(path.read_text(encoding="utf-8").splitlines()) for _, path, _ in found)
    alone = sorted(name for name in names if len(importers[name]) == 1)
    print(f"lines                      {lines}")
    print(f"modules                    {len(found)}")
    print(f"modules with one importer  {len(alone)}")
    for name in alone:
        print(f"  {name} <- {next(iter(importers[name]))}")
    print(f"class names that are double {len(list(classes_named_twice(HOUSE)))}")


if __name__ == "__main__":
    main()
