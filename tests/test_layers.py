"""Who may import whom, and what may share a name: ARCHITECTURE.md says it, this holds code to it.

Reads `import x` and `from x import y` at any depth of a file, inside functions too.
"""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from soundstage.cli import COMMANDS
from soundstage.contract import available

ROOT = Path(__file__).parents[1]
ROOMS = {
    "schemas": ROOT / "schemas",
    "contracts": ROOT / "contracts",
    "loadtests": ROOT / "loadtests",
    "reports": ROOT / "reports",
}
SOURCE = ROOT / "src" / "soundstage"

#: A room and what it may import, in the table of ARCHITECTURE.md: `room` | holds | a, b (module, …)
_ROW = re.compile(r"^\| `([\w/]+)` \|[^|]*\|([^|]*)\|", re.MULTILINE)
_NAMED = re.compile(r"(\w+)(?: \(([^)]*)\))?")


def table(inside: bool) -> tuple[dict[str, set[str]], dict[tuple[str, str], set[str]]]:
    """(room -> the rooms that it may import; (room, other) -> all that it may import of it).

    `inside`: of rooms inside rooms, whose names have a slash. One is a folder of its room, or a
    file; what it may import there is named without the slash.
    """
    rooms: dict[str, set[str]] = {}
    only: dict[tuple[str, str], set[str]] = {}
    for room, named in _ROW.findall((ROOT / "ARCHITECTURE.md").read_text("utf-8")):
        if ("/" in room) is not inside:
            continue
        assert room not in rooms, f"two rows for {room}"
        rooms[room] = set()
        for other, modules in _NAMED.findall(named):
            rooms[room].add(other)
            if modules:
                only[room, other] = set(modules.split(", "))
    return rooms, only


MAY_IMPORT, ONLY = table(inside=False)
MAY_IMPORT_INSIDE, ONLY_INSIDE = table(inside=True)
#: Rooms that say who may import whom inside them. Files at their top that have no row stand above
#: all that has one: they may import it, and it may not import them.
DIVIDED = {room.partition("/")[0] for room in MAY_IMPORT_INSIDE}
#: Libraries that are kept to some files (paths below the room, "" for all of it).
KEPT_TO: dict[str, set[str]] = {
    "locust": {"loadtests/"},
    "gevent": {"loadtests/"},
    "hypothesis": {
        "generation/samples.py",
        "generation/schema_values.py",
        "contracts/",
        "pytest_plugin.py",
    },
    "schemathesis": {"contracts/", "pytest_plugin.py"},
    "starlette": {"emulator/"},
    "uvicorn": {"emulator/"},
    "scipy": {"reports/", "loadtests/", "results/quantiles.py", "results/survival.py"},
}


def files() -> Iterator[tuple[str, str, Path]]:
    """(room, path that begins with the room, file) of all code that is installed."""
    for path in sorted(SOURCE.rglob("*.py")):
        inner = path.relative_to(SOURCE)
        yield inner.parts[0].removesuffix(".py"), inner.as_posix(), path
    for room, folder in ROOMS.items():
        for path in sorted(folder.rglob("*.py")):
            yield room, f"{room}/{path.relative_to(folder).as_posix()}", path


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


@cache
def imports(source: ast.Module) -> list[tuple[str, int]]:
    """Every module that a source imports, dotted, with its line. `from a import b` gives `a.b`,
    since `b` may be a module; a relative import gives a name that begins with a dot.
    """
    found = []
    for node in ast.walk(source):
        if isinstance(node, ast.Import):
            found += [(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (f"{node.module}." if node.module else "")
            found += [(base + alias.name, node.lineno) for alias in node.names]
    return found


FILES = list(files())


def test_the_reader_sees_every_kind_of_import():
    source = """
import a, b.c as d
from e import f, g
from . import h
from ..i import j
if TYPE_CHECKING:
    import k
def function():
    from l.m import n
"""
    assert [name for name, _ in imports(ast.parse(source))] == [
        "a", "b.c", "e.f", "e.g", ".h", "..i.j", "k", "l.m.n",
    ]  # fmt: skip


def test_the_table_has_the_rooms_that_there_are_and_their_order():
    rooms = {room for room, _, _ in FILES}
    assert rooms == MAY_IMPORT.keys()
    seen: set[str] = set()
    for room, others in MAY_IMPORT.items():
        assert others <= seen, f"{room} imports upwards"
        seen.add(room)


def test_what_the_table_allows_is_used():
    used = {
        (room, module.split(".")[1])
        for room, _, path in FILES
        for module, _ in imports(parsed(path))
        if module.startswith("soundstage.") and not is_gate(module)
    }
    lent = {("commands", "loadtests"), ("commands", "reports")}  # imported by name, when asked for
    allowed = {(room, other) for room, others in MAY_IMPORT.items() for other in others}
    assert allowed - used - lent == set()


def is_gate(module: str) -> bool:
    """Whether a module is the one gate through which all leaves that leaves, or the one place where
    it is shortened before.
    """
    return module.split(".")[1:3] in (["output", "outgoing"], ["output", "cutting"])


def misplaced(room: str, name: str, module: str) -> str | None:
    """Why a file of a room may not import a module of ours; None if it may."""
    parts = module.split(".")
    if module.startswith("."):
        return "a relative import"
    if parts[0] in ROOMS:
        return f"must be imported as soundstage.{module}"
    if parts[0] != "soundstage" or len(parts) < 2:
        return None
    target = parts[1]
    if target not in MAY_IMPORT:  # a name of soundstage/__init__.py
        return None if target == "__version__" else "no such room"
    if is_gate(module):
        return None
    if target not in MAY_IMPORT[room] | {room}:
        return f"{room} may not import {target}"
    only = ONLY.get((room, target))
    if only is not None and (len(parts) < 3 or parts[2] not in only):
        return f"of {target} only {sorted(only)}"
    return None


def test_texts_are_shortened_in_one_place_that_takes_secrets_out_first():
    wrong = [
        f"{name}:{each.lineno}: {ast.unparse(each)}"
        for room, name, path in FILES
        if room != "generation" and name != "output/cutting.py"  # faults cut on purpose
        for node in ast.walk(parsed(path))
        for each in _cuts(node)
    ]
    assert wrong == []


def _cuts(node: ast.AST) -> Iterator[ast.Subscript]:
    """Slices from the beginning that stand in a text, or before the mark that something is cut."""
    looked_at: list[ast.AST] = []
    if isinstance(node, ast.FormattedValue):
        looked_at.append(node.value)
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        if isinstance(node.right, ast.Constant) and "…" in str(node.right.value):
            looked_at.append(node.left)
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        looked_at += node.args if node.func.id in ("repr", "str") else []
    elif isinstance(node, ast.Subscript) and isinstance(node.value, ast.Call):
        made = node.value.func
        name = made.id if isinstance(made, ast.Name) else getattr(made, "attr", "")
        looked_at += [node] if name in ("repr", "str", "dumps", "line", "text", "join") else []
    for each in looked_at:
        if isinstance(each, ast.Subscript) and isinstance(each.slice, ast.Slice):
            upper, lower = each.slice.upper, each.slice.lower
            few = isinstance(upper, ast.Constant) and upper.value < 8
            # All but the end of it, or a part of which something else says where it is.
            other = upper is None or isinstance(upper, ast.UnaryOp) or lower is not None
            if not (few or other or "sha256" in ast.unparse(each.value)):
                yield each


def test_a_file_imports_only_what_its_room_may():
    wrong = [
        f"{name}:{line}: {module}: {why}"
        for room, name, path in FILES
        for module, line in imports(parsed(path))
        if (why := misplaced(room, name, module)) is not None
    ]
    assert wrong == []


def test_rooms_inside_rooms_are_all_named_and_in_order():
    seen: set[str] = set()
    for inner, others in MAY_IMPORT_INSIDE.items():
        room = inner.partition("/")[0]
        assert {f"{room}/{other}" for other in others} <= seen, f"{inner} imports upwards"
        seen.add(inner)
    parts = {  # the folders and files at the top of a room, as `room/part`
        "/".join(name.split("/")[:2]).removesuffix(".py") for _, name, _ in FILES
    }
    folders = {"/".join(name.split("/")[:2]) for _, name, _ in FILES if name.count("/") > 1}
    assert seen <= parts
    assert {folder for folder in folders if folder.split("/")[0] in DIVIDED} <= seen


def inside() -> Iterator[tuple[str, str, str, str, str]]:
    """(what has a row in its room, another part of the room, of that, where, module) of imports
    inside of one room.
    """
    for room, name, path in FILES:
        inner = "/".join(name.split("/")[:2]).removesuffix(".py")
        if inner not in MAY_IMPORT_INSIDE:
            continue
        for module, line in imports(parsed(path)):
            parts = [*module.split("."), ""]
            if parts[:2] == ["soundstage", room] and f"{room}/{parts[2]}" != inner:
                yield inner, parts[2], parts[3], f"{name}:{line}", module


def test_a_room_inside_a_room_imports_only_what_it_may():
    assert [
        f"{where}: {module}"
        for inner, other, piece, where, module in inside()
        if other not in MAY_IMPORT_INSIDE[inner]
        or piece not in ONLY_INSIDE.get((inner, other), {piece})
    ] == []


def test_what_the_table_allows_inside_a_room_is_used():
    allowed = {(inner, other) for inner, others in MAY_IMPORT_INSIDE.items() for other in others}
    assert allowed - {(inner, other) for inner, other, _, _, _ in inside()} == set()


def for_types(source: ast.Module) -> set[ast.AST]:
    """What stands under `if TYPE_CHECKING`."""
    return {
        inner
        for node in ast.walk(source)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        for each in node.body
        for inner in ast.walk(each)
    }


@pytest.mark.parametrize("types", [False, True], ids=["at run time", "for types as well"])
def test_no_modules_import_each_other_in_a_circle(types):
    named = {f"soundstage.{name.removesuffix('.py').replace('/', '.')}" for _, name, _ in FILES}
    graph: dict[str, set[str]] = {}
    for _, name, path in FILES:
        source = parsed(path)
        apart = set() if types else for_types(source)
        module = f"soundstage.{name.removesuffix('.py').replace('/', '.')}"
        graph[module] = {
            found
            for node in ast.walk(source)
            if isinstance(node, ast.Import | ast.ImportFrom) and node not in apart
            for said, _ in imports(ast.Module([node], []))
            for found in (said, said.rpartition(".")[0])
            if found in named and found != module
        }
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


def test_a_class_name_means_one_thing():
    places: dict[str, set[str]] = defaultdict(set)
    for _, name, path in FILES:
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.ClassDef):
                places[node.name.lstrip("_")].add(name)
    assert {name: where for name, where in places.items() if len(where) > 1} == {}


def test_rooms_share_a_file_name_only_where_the_table_says_so():
    said = (ROOT / "ARCHITECTURE.md").read_text("utf-8").partition("## Names")[2]
    listed = set(re.findall(r"^- `(\w+)`:", said, re.MULTILINE))
    folders: dict[str, list[str]] = defaultdict(list)
    for _, name, path in FILES:
        if not path.stem.startswith("__"):
            folders[path.stem].append(name)
    assert {stem for stem, where in folders.items() if len(where) > 1} == listed


def test_no_folder_is_crowded():
    crowds = Counter(path.parent for _, _, path in FILES if not path.stem.startswith("__"))
    assert [str(folder) for folder, many in crowds.items() if many > 20] == []


def test_a_heavy_library_is_imported_only_where_it_belongs():
    wrong = [
        f"{name}:{line}: {module} belongs to {sorted(places)}"
        for _, name, path in FILES
        for module, line in imports(parsed(path))
        if (places := KEPT_TO.get(module.split(".")[0])) is not None
        and not any(name.startswith(place) for place in places)
    ]
    assert wrong == []


def strings(source: ast.Module) -> Iterator[tuple[str, int]]:
    for node in ast.walk(source):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value, node.lineno


def test_no_code_knows_a_version_by_name():
    """A new version is a folder, and no change of Python."""
    versions = set(available())
    wrong = [
        f"{name}:{line}: {text!r}"
        for room, name, path in FILES
        if room not in ("schemas", "contracts")
        for text, line in strings(parsed(path))
        if text in versions
    ]
    assert wrong == []


def test_a_line_with_values_in_it_is_said_and_not_printed():
    """`streams.say` keeps a foreign value from beginning a line of its own; `print` does not."""
    wrong = [
        f"{name}:{node.lineno}: say it"
        for _, name, path in FILES
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "print"
        and node.args
        and isinstance(node.args[0], ast.JoinedStr)
    ]
    assert wrong == []


def test_the_command_line_imports_commands_only_when_they_are_called():
    source = parsed(SOURCE / "cli.py")
    ours = {module for module, _ in imports(source) if module.startswith("soundstage")}
    rooms = {module.split(".")[1] for module in ours} - {"__version__"}
    assert rooms == MAY_IMPORT["cli"]
    assert not rooms & {command.split(".")[1] for command, _ in COMMANDS.values()}


HEAVY = (
    "locust", "gevent", "schemathesis", "scipy", "hypothesis", "starlette", "uvicorn", "jsonschema",
    "numpy", "pytest", "jinja2", "rich", "referencing", "asyncio",
)  # fmt: skip


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["lint", str(ROOT / "schemas/v6/examples/sync.json")],
        ["explain", "stage.order"],
    ],
    ids=" ".join,
)
def test_a_quick_command_starts_without_the_heavy_libraries(arguments):
    script = f"""
import json, sys
sys.argv = ["soundstage", *{arguments!r}]
from soundstage.cli import main
try:
    code = main()
except SystemExit as stop:
    code = stop.code
print(json.dumps([code or 0, [name for name in {HEAVY!r} if name in sys.modules]]), file=sys.stderr)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    assert json.loads(done.stderr) == [0, []]


def test_the_help_of_no_command_loads_the_heavy_libraries():
    script = f"""
import json, sys
from soundstage import cli
loaded = {{}}
for name, parser in cli.parsers():
    parser.format_help()
    loaded[name] = [each for each in {HEAVY!r} if each in sys.modules]
print(json.dumps(loaded))
"""
    words = [sys.executable, "-c", script]
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=60)
    loaded = json.loads(done.stdout)
    assert list(loaded) == list(COMMANDS)
    assert {name: heavy for name, heavy in loaded.items() if heavy} == {}
