"""How sharp the tests are: small faults are put into the code, one at a time, and the tests of that
code run against each. What no test notices is listed, with its line.

    python -m benchmarks.mutants [--mutants N] [--seed N] [--only PART_OF_A_PATH]

The tree is copied, and only the copy is changed. Prints Markdown; ten to thirty minutes.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import copy
import itertools
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
#: What is changed, and the tests that answer for it: those that are likeliest to notice come first.
TESTS = {
    "src/soundstage/conformance/engine.py": [
        "tests/conformance/test_broken_v6.py",
        "tests/conformance/test_engine_details.py",
        "tests/conformance/test_order_details.py",
        "tests/conformance/test_broken_v5.py",
        "tests/conformance/test_judge.py",
        "tests/conformance/test_slips.py",
        "tests/conformance/test_properties.py",
        "tests/conformance/test_valid_streams.py",
        "tests/conformance/test_bounded_violations.py",
    ],
    "src/soundstage/wire/sse.py": [
        "tests/wire/test_sse_details.py",
        "tests/wire/test_sse.py",
        "tests/wire/test_flow.py",
    ],
    "src/soundstage/exchange/budget.py": ["tests/exchange/test_target_and_budget.py"],
    "src/soundstage/exit_codes.py": ["tests/test_exit_code_order.py"],
    "src/soundstage/gate/rule_outcomes.py": [
        "tests/gate",
        "tests/exchange/test_patience.py",
        "tests/commands/test_gate_verdicts.py",
    ],
}
#: Folders of packages that lie at the top of the repository, and are imported from below src.
_BESIDE = ("contracts", "loadtests", "reports", "schemas")
#: A change may make a loop endless: a test may take so long, all of them so long, and so much
#: memory.
_TEST_S, _ALL_S, _MEMORY = 60, 300, 4 << 30
_NONE = ast.Constant(value=None)

_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
_ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
}
_DELETED = (
    ast.Assign,
    ast.AugAssign,
    ast.Break,
    ast.Continue,
    ast.Delete,
    ast.Expr,
    ast.If,
    ast.Raise,
)


@dataclass(frozen=True, slots=True)
class Mutant:
    """A source file with one small fault. `place`: which of `_places` gets another `node`; what
    follows is for people.
    """

    source: str
    place: int
    node: ast.AST
    line: int
    operator: str
    change: str

    def code(self, sound: str) -> str:
        tree = ast.parse(sound)
        parent, name, index = next(itertools.islice(_places(tree), self.place, None))
        _put(parent, name, index, self.node)
        return ast.unparse(ast.fix_missing_locations(tree))


def mutants_of(source: str, sound: str) -> list[Mutant]:
    """All mutants of a file."""
    return [
        Mutant(source, place, changed, node.lineno, operator, f"{_line(node)} -> {_line(changed)}")
        for place, (parent, name, index) in enumerate(_places(ast.parse(sound)))
        for node in [_child(parent, name, index)]
        for operator, changed in _changes(node)
    ]


def _changes(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    match node:
        case ast.Compare(ops=[first, *rest]):
            if twin := _COMPARISONS.get(type(first)):
                yield "comparison", ast.Compare(node.left, [twin(), *rest], node.comparators)
        case ast.BoolOp():
            other = ast.Or() if isinstance(node.op, ast.And) else ast.And()
            yield "boolean", ast.BoolOp(other, node.values)
        case ast.UnaryOp(op=ast.Not()):
            yield "boolean", node.operand
        case ast.BinOp() | ast.AugAssign() if twin := _ARITHMETIC.get(type(node.op)):
            changed = copy.copy(node)
            changed.op = twin()
            yield "arithmetic", changed
        case ast.Constant(value=bool(value)):
            yield "constant", ast.Constant(not value)
        case ast.Constant(value=int(value) | float(value)):
            yield "constant", ast.Constant(value + 1)
        case ast.Constant(value=str(value)):
            yield "constant", ast.Constant("" if value else "mutant")
        case ast.Constant(value=bytes(value)):
            yield "constant", ast.Constant(b"" if value else b"mutant")
        case ast.Return(value=ast.expr() as value) if ast.dump(value) != ast.dump(_NONE):
            yield "return value", ast.Return(_NONE)
    if isinstance(node, _DELETED):
        yield "deletion", ast.Pass()


def _places(tree: ast.AST) -> Iterator[tuple[ast.AST, str, int | None]]:
    """Each node that is run, by its parent, the field that holds it and its index there. What only
    readers and type checkers see is left out: docstrings, annotations, the parts of f-strings.
    """
    for name, value in ast.iter_fields(tree):
        if name in ("annotation", "returns", "ctx", "op", "ops", "type_params"):
            continue
        nodes = list(enumerate(value)) if isinstance(value, list) else [(None, value)]
        for index, node in nodes:
            if not isinstance(node, ast.AST) or _unrun(node, tree):
                continue
            yield tree, name, index
            yield from _places(node)


def _unrun(node: ast.AST, parent: ast.AST) -> bool:
    match node:
        case ast.Expr(value=ast.Constant(value=str())) | ast.Import() | ast.ImportFrom():
            return True
        case ast.Constant():
            return isinstance(parent, ast.JoinedStr)
        case ast.If(test=ast.Name(id="TYPE_CHECKING")):
            return True
    return False


def _child(parent: ast.AST, name: str, index: int | None) -> ast.AST:
    value = getattr(parent, name)
    return value if index is None else value[index]


def _put(parent: ast.AST, name: str, index: int | None, node: ast.AST) -> None:
    if index is None:
        setattr(parent, name, node)
    else:
        getattr(parent, name)[index] = node


def _line(node: ast.AST) -> str:
    said = ast.unparse(ast.fix_missing_locations(copy.deepcopy(node))).splitlines()
    return said[0] + (" …" if len(said) > 1 else "")


class Copy:
    """A copy of the tree from which tests are run. What lies at the top of the repository is found
    below src, as it is when installed, so that nothing of the tree itself is imported.
    """

    def __init__(self, tree: Path, folder: Path) -> None:
        self.folder = folder
        listed = subprocess.run(
            ["git", "ls-files", "-z"], cwd=tree, stdout=subprocess.PIPE, check=True, text=True
        )
        for name in filter(None, listed.stdout.split("\0")):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes((tree / name).read_bytes())
        for name in _BESIDE:
            (folder / "src/soundstage" / name).symlink_to(folder / name)

    def notices(self, tests: Iterable[str], *, compile: bool = False) -> bool | None:
        """Whether any of the tests fails; None if they did not come to an end."""
        environment = os.environ | {
            "PYTHONPATH": f"{self.folder / 'src'}",
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            # Compiled files are told from stale ones by whole seconds, and mutants come faster.
            "PYTHONDONTWRITEBYTECODE": "" if compile else "1",
        }
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "pytest_timeout"]
        command += ["-p", "no:cacheprovider", f"--timeout={_TEST_S}", "-m", "not proof", *tests]
        with subprocess.Popen(
            command,
            cwd=self.folder,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=_bounded,
        ) as process:
            try:
                return process.wait(_ALL_S) != 0
            except subprocess.TimeoutExpired:
                return None
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)  # and what the tests started


def _bounded() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mutants", description=__doc__)
    parser.add_argument("--mutants", type=int, default=150, help="how many are drawn")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--only", default="", help="of those drawn, the ones in files whose path holds this"
    )
    args = parser.parse_args()
    drawn = [
        each
        for source in TESTS
        for each in mutants_of(source, (ROOT / source).read_text(encoding="utf-8"))
    ]
    if args.mutants < len(drawn):
        drawn = random.Random(args.seed).sample(drawn, args.mutants)
    tests = {source: names for source, names in TESTS.items() if args.only in source}
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        report(try_all(Copy(ROOT, Path(folder).resolve()), tests, drawn))


def try_all(
    tree: Copy, tests: dict[str, list[str]], drawn: list[Mutant]
) -> Iterator[tuple[Mutant, bool | None]]:
    """Each mutant, and whether its tests noticed."""
    for source, names in tests.items():
        path = tree.folder / source
        sound = path.read_text(encoding="utf-8")
        # Tests that fail on their own, or that import another tree, would tell nothing.
        if tree.notices(names, compile=True) is not False:
            sys.exit(f"{source}: its tests do not pass as it is")
        path.write_text("raise RuntimeError('a mutant')\n")
        if not tree.notices(names):
            sys.exit(f"{source}: its tests do not import the copy")
        for mutant in (each for each in drawn if each.source == source):
            path.write_text(mutant.code(sound), encoding="utf-8")
            started = time.monotonic()
            noticed = tree.notices(names)
            took = time.monotonic() - started
            word = {True: "noticed", False: "SURVIVED", None: "endless"}[noticed]
            sys.stderr.write(f"{word} {took:.1f} s {source}:{mutant.line} {mutant.change}\n")
            yield mutant, noticed
        path.write_text(sound, encoding="utf-8")


def report(tried: Iterable[tuple[Mutant, bool | None]]) -> None:
    drawn: Counter[tuple[str, str]] = Counter()
    noticed: Counter[tuple[str, str]] = Counter()
    survivors = []
    for mutant, seen in tried:
        for key in [("all", ""), ("file", mutant.source), ("operator", mutant.operator)]:
            drawn[key] += 1
            noticed[key] += seen is not False
        if seen is False:
            survivors.append(mutant)
    print = sys.stdout.write
    print("| of | mutants | noticed | share |\n|---|---:|---:|---:|\n")
    for key in sorted(drawn):
        share = noticed[key] / drawn[key]
        print(f"| {' '.join(key)} | {drawn[key]} | {noticed[key]} | {share:.0%} |\n")
    print("\n")
    for each in survivors:
        print(f"- `{each.source}:{each.line}` {each.operator}: `{each.change}`\n")


if __name__ == "__main__":
    main()
