"""The rules of the house: what CONTRIBUTING.md promises about modules, functions, SQL and imports.

That an import goes down only is held by the import-linter contracts in pyproject.toml.
Each rule is a function of a package's folder, so that a small bad package shows that it can fail.
"""

import ast
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import botticelli

HOUSE = Path(botticelli.__file__).parent
MODULE_LINES = 500
FUNCTION_LINES = 50
FOLDER_MODULES = 15
SQL_CALLS = {"execute", "executemany", "copy"}
FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef)


@cache
def modules(package: Path) -> list[tuple[str, Path, ast.Module]]:
    """Return name, path and tree of every module, `__init__` under its package's name."""
    found = []
    for path in sorted(package.rglob("*.py")):
        parts = [package.name, *path.relative_to(package).with_suffix("").parts]
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found.append((name, path, ast.parse(path.read_bytes())))
    return found


def long_modules(package):
    """Modules with more lines than a reader takes in."""
    for name, path, _ in modules(package):
        lines = len(path.read_text().splitlines())
        if lines > MODULE_LINES:
            yield f"{name}: {lines} lines"


def long_functions(package):
    """Functions and methods with more lines from `def` to their end."""
    for name, _, tree in modules(package):
        for node in ast.walk(tree):
            if isinstance(node, FUNCTION):
                lines = (node.end_lineno or 0) - node.lineno + 1
                if lines > FUNCTION_LINES:
                    yield f"{name}.{node.name}: {lines} lines"


def crowded_folders(package):
    """Folders with more modules than can be told apart, `__init__` not counted."""
    for folder in sorted({path.parent for _, path, _ in modules(package)}):
        count = sum(path.name != "__init__.py" for path in folder.glob("*.py"))
        if count > FOLDER_MODULES:
            yield f"{folder.relative_to(package.parent)}: {count} modules"


def classes_named_twice(package):
    """Public class names that more than one module defines."""
    places = defaultdict(list)
    for name, _, tree in modules(package):
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(name)
    for name, found in sorted(places.items()):
        if len(found) > 1:
            yield f"{name}: {', '.join(found)}"


def sql_outside_the_store(package):
    """Statements run anywhere but under store/, and imports of the driver."""
    for name, path, tree in modules(package):
        if path.is_relative_to(package / "store"):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and _runs_sql(node):
                yield f"{name}:{node.lineno}: {ast.unparse(node.func)}"
        if any(each.partition(".")[0] == "psycopg" for each in imported(tree)):
            yield f"{name}: psycopg"


def _runs_sql(call: ast.Call) -> bool:
    function = call.func
    if not isinstance(function, ast.Attribute) or function.attr not in SQL_CALLS:
        return False
    # A value's own copy() takes nothing; shutil.copy and copy.copy are of the standard library.
    is_library = isinstance(function.value, ast.Name) and function.value.id in {"shutil", "copy"}
    return function.attr != "copy" or bool(call.args and not is_library)


def imported(tree: ast.Module) -> Iterator[str]:
    """Yield what a module imports when it runs, in functions too; types alone are excepted."""
    todo: list[ast.AST] = [tree]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            todo.extend(node.orelse)
        else:
            todo.extend(ast.iter_child_nodes(node))


def import_cycles(package):
    """Groups of modules that need each other to run."""
    trees = {name: (path, tree) for name, path, tree in modules(package)}
    needs = {
        # A package that is only passed through on the way to its module is no dependency.
        name: {each for each in imported(tree) if each in trees and _is_module(trees[each][0])}
        for name, (_, tree) in trees.items()
    }
    reached = {name: _reached(needs, name) for name in needs}
    groups = {
        frozenset(each for each in reached[name] if name in reached[each]) | {name}
        for name in needs
        if name in reached[name]
    }
    yield from sorted(" <-> ".join(sorted(group)) for group in groups)


def _is_module(path: Path) -> bool:
    return path.name != "__init__.py"


def _reached(needs: dict[str, set[str]], start: str) -> set[str]:
    found: set[str] = set()
    todo = set(needs[start])
    while todo:
        name = todo.pop()
        found.add(name)
        todo |= needs[name] - found
    return found


RULES = (
    long_modules,
    long_functions,
    crowded_folders,
    classes_named_twice,
    sql_outside_the_store,
    import_cycles,
)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_house_keeps_the_rule(rule):
    assert list(rule(HOUSE)) == []


BAD = {
    long_modules: {"long.py": "x = 1\n" * 501},
    long_functions: {"a.py": "class A:\n    def f(self):\n" + "        x = 1\n" * 50},
    crowded_folders: {f"room/m{number}.py": "" for number in range(16)},
    classes_named_twice: {"a.py": "class Answer: ...", "b/c.py": "class Answer: ..."},
    sql_outside_the_store: {"cli/a.py": "def f(conn): conn.execute('SELECT 1')"},
    import_cycles: {"a.py": "def f():\n    from bad.b import g", "b.py": "import bad.a"},
}
GOOD = {
    long_modules: {"long.py": "x = 1\n" * 500},
    long_functions: {"a.py": "@a\ndef f(\n    x=1,\n):\n" + "    x = 1\n" * 47},
    crowded_folders: {f"room/{name}.py": "" for name in ("__init__", *"abcdefghijklmno")},
    classes_named_twice: {"a.py": "class _Answer: ...", "b/c.py": "class _Answer: ..."},
    sql_outside_the_store: {
        "store/a.py": "import psycopg\ndef f(conn): conn.execute('SELECT 1')",
        "a.py": "def f(names): shutil.copy(names.copy(), '.')",
    },
    import_cycles: {
        "a.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import bad.b",
        "b.py": "import bad.a\nfrom bad import a",
    },
}
MORE_BAD = [
    (sql_outside_the_store, {"a.py": "def f(cursor): cursor.copy('COPY t FROM STDIN')"}),
    (sql_outside_the_store, {"a.py": "def f(c): c.cursor().executemany('INSERT', [])"}),
    (sql_outside_the_store, {"cli/a.py": "def f():\n    from psycopg.rows import dict_row"}),
    (import_cycles, {f"{a}.py": f"from bad.{b} import x" for a, b in ("ab", "bc", "ca")}),
]


def package(folder, files):
    for name, text in files.items():
        path = folder / "bad" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder / "bad"


@pytest.mark.parametrize(("rule", "files"), [*BAD.items(), *MORE_BAD])
def test_a_rule_sees_what_breaks_it(rule, files, tmp_path):
    assert len(list(rule(package(tmp_path, files)))) == 1


@pytest.mark.parametrize(("rule", "files"), GOOD.items())
def test_a_rule_lets_pass_what_is_just_allowed(rule, files, tmp_path):
    assert list(rule(package(tmp_path, files))) == []
