"""The rules of this house, read from the source with `ast`: what may import what, and what nobody writes.

A failure names file and line. Where a rule has an exception, it is listed here with its reason.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TypeVar

import pytest

from gateway.web.surfaces import AT_ROOT, SOCKETS, UNDER_BASE, Route

REPOSITORY = Path(__file__).parents[1]
FILES = sorted((REPOSITORY / "gateway").rglob("*.py"))

# From left to right: a room imports itself and what stands left of it, but not its neighbours in the same box.
LAYERS = (
    "errors",
    "types",
    "settings",
    "core",
    "dialects",
    "providers",
    "stores upstream telemetry logs config simulator",
    "call counted attempt bill replay outcome deployment routes recorder streaming outgoing warming tasks alerting",
    "pipeline",
    "web",
    "app",
    "commands",
    "__main__",
)
RANK = {room: rank for rank, box in enumerate(LAYERS) for room in box.split()} | {"__init__": -1}
PARTS = RANK["pipeline"] - 1  # the parts of the pipeline may meet, without circles
NEVER = {"simulator": {"dialects", "providers"}, "config": {"errors", "core", "dialects", "providers"}}

PURE_ROOMS = {"errors", "types", "settings", "core", "dialects", "providers"}
IMPURE = {
    *("aiohttp", "asyncio", "io", "logging", "os", "pathlib", "random", "secrets", "select", "shutil", "signal"),
    *("socket", "ssl", "subprocess", "sys", "tempfile", "threading", "time", "uuid"),
}
UNSAFE = {"eval", "exec", "compile", "__import__", "yaml.load", "yaml.unsafe_load", "os.system"}
UNSAFE_MODULES = {"pickle", "marshal", "shelve"}

# Longest first. A file named after one wire shape never imports a file of its room that is named after another.
# OpenAI's dialects share what they have word for word in common: openai_*.py that name none of them.
SHARED = dict.fromkeys(("openai_chat", "openai_responses", "openai_completions", "openai_embeddings"), "openai")
# A simulated vendor is one whole, whichever of its APIs a file is about.
FAMILIES = (*SHARED, "openai", "anthropic", "gemini", "embeddings", "native")
VENDORS = ("openai", "anthropic", "gemini")

MAX_LINES, MAX_FUNCTION_LINES = 400, 50
LONG_FILES = {"gateway/types.py": "the vocabulary: declarations only, and one place to look a word up"}
LONG_FUNCTIONS: dict[str, str] = {}
BORDERS = {
    "gateway/web/handlers.py:handle": "one bad request must not take the connection or the process down",
    "gateway/pipeline.py:run": "a bug must not leave a hold or an open stream",
    "gateway/tasks.py:_repeat": "a background task outlives one bad step",
    "gateway/stores/pump.py:_run": "a bug must not leave requests waiting for ever",
    "gateway/stores/pump.py:_finish": "whatever happens in the store, the same command is sent again",
}
OPEN_PATHS = {"/livez", "/readyz"}

FIXED_NAME = re.compile(r"_?[A-Z][A-Z0-9_]*|__\w+__")
TYPE_NAME = re.compile(r"_?[A-Z]\w*")
CHANGERS = {
    *("add", "append", "appendleft", "clear", "discard", "extend", "insert", "move_to_end", "pop", "popitem"),
    *("popleft", "remove", "reverse", "setdefault", "sort", "update"),
}
Function = ast.FunctionDef | ast.AsyncFunctionDef
Import = ast.Import | ast.ImportFrom
Node = TypeVar("Node", bound=ast.AST)


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


@cache
def nodes(outer: ast.AST) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(outer))


def at(path: Path, node: ast.stmt | ast.expr | ast.excepthandler) -> str:
    return f"{path.relative_to(REPOSITORY)}:{node.lineno}"


def every(kind: type[Node], below: type = ast.Module) -> Iterator[tuple[Path, Node]]:
    """Each node of a kind in the package; with `below`, only those inside such a node."""
    for path in FILES:
        for outer in (node for node in nodes(tree(path)) if isinstance(node, below)):
            yield from ((path, node) for node in nodes(outer) if isinstance(node, kind))


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(REPOSITORY).with_suffix("").parts).removesuffix(".__init__")


def room_of(module: str) -> str:
    return (*module.split("."), "__init__")[1]


MODULES = {module_of(path) for path in FILES}


def imports() -> Iterator[tuple[str, str, str]]:
    """(place, module, imported module) of every import. `from gateway import errors` is gateway.errors."""
    for path, node in every(Import):
        prefix = "" if isinstance(node, ast.Import) else f"{node.module}."
        assert not getattr(node, "level", 0), f"{at(path, node)}: a relative import"
        for name in (f"{prefix}{alias.name}" for alias in node.names):
            target = name if name in MODULES or not prefix else prefix[:-1]
            yield at(path, node), module_of(path), target


def inner_imports() -> Iterator[tuple[str, str, str]]:
    return (found for found in imports() if found[2].split(".")[0] == "gateway")


def family(module: str) -> str | None:
    names = VENDORS if room_of(module) == "simulator" else FAMILIES
    return next((name for name in names if module.split(".")[-1].startswith(name)), None)


# ---------------------------------------------------------------- layers


def test_every_room_has_its_place() -> None:
    assert {room_of(module) for module in MODULES} == set(RANK)


def test_imports_go_left_only() -> None:
    wrong = []
    for place, module, target in inner_imports():
        here, there = room_of(module), room_of(target)
        left = RANK[there] < RANK[here] or here == there or RANK[here] == RANK[there] == PARTS
        if not left or there in NEVER.get(here, ()):
            wrong.append(f"{place}: {here} imports {there}")
    assert wrong == []


def test_what_speaks_one_shape_never_imports_another() -> None:
    wrong = []
    for place, module, target in inner_imports():
        one, other = family(module), family(target)
        strangers = one and other and one != other and SHARED.get(one) != other
        if strangers and room_of(module) == room_of(target):
            wrong.append(f"{place}: {module} imports {target}")
    assert wrong == []


def test_a_dialect_file_says_in_its_name_whose_it_is() -> None:
    dialects = {module for module in MODULES if module.startswith("gateway.dialects.")}
    assert {module for module in dialects if family(module) is None} == set()


def test_no_imports_go_round_in_a_circle() -> None:
    graph: dict[str, set[str]] = {module: set() for module in MODULES}
    for _, module, target in inner_imports():
        graph[module].add(target)
    while leaves := {module for module, targets in graph.items() if not targets & graph.keys()}:
        graph = {module: targets for module, targets in graph.items() if module not in leaves}
    assert sorted(graph) == []


def test_the_pure_rooms_touch_no_clock_no_socket_and_no_file() -> None:
    wrong = [f"{p}: {t}" for p, m, t in imports() if room_of(m) in PURE_ROOMS and t.split(".")[0] in IMPURE]
    wrong += [
        f"{at(path, node)}: {ast.unparse(node.func)}()"
        for path, node in every(ast.Call)
        if room_of(module_of(path)) in PURE_ROOMS
        and re.fullmatch(r"open|print|input|(\w+\.)*date(time)?\.(now|today|utcnow)", ast.unparse(node.func))
    ]
    assert wrong == []


# ---------------------------------------------------------------- state


def module_names(path: Path) -> Iterator[tuple[ast.stmt, str, ast.expr | None]]:
    """(statement, name, value) of every assignment outside functions and classes."""
    for node in tree(path).body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        yield from ((node, t.id, getattr(node, "value", None)) for t in targets if isinstance(t, ast.Name))


def test_modules_hold_constants_types_and_functions_only() -> None:
    wrong = []
    for path in FILES:
        for node, name, value in module_names(path):
            a_variable = isinstance(value, ast.Call) and ast.unparse(value.func) in ("TypeVar", "ParamSpec", "NewType")
            a_type = TYPE_NAME.fullmatch(name) and (
                isinstance(value, ast.Subscript | ast.BinOp | ast.Name) or a_variable
            )
            a_function = isinstance(value, ast.Attribute)  # _decode = Decoder(Frame).decode
            if not FIXED_NAME.fullmatch(name) and not a_type and not a_function:
                wrong.append(f"{at(path, node)}: {name}")
    assert wrong == []


def test_no_function_changes_what_a_module_holds() -> None:
    held = {path: {name for _, name, _ in module_names(path)} for path in FILES}
    wrong = [f"{at(path, node)}: global" for path, node in every(ast.Global)]
    for path, node in every(ast.expr, below=Function):
        match node:
            case (
                ast.Subscript(value=ast.Name(id=name), ctx=ast.Store() | ast.Del())
                | ast.Attribute(value=ast.Name(id=name), ctx=ast.Store() | ast.Del())
            ) if name in held[path]:
                wrong.append(f"{at(path, node)}: {name}")
            case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr=method)) if (
                name in held[path] and method in CHANGERS
            ):
                wrong.append(f"{at(path, node)}: {name}.{method}()")
    assert wrong == []


# ---------------------------------------------------------------- what nobody writes


def test_imports_stand_on_top() -> None:
    assert [at(path, node) for path, node in every(Import, below=Function)] == []


def test_everything_is_caught_at_borders_only() -> None:
    """`except Exception` stands in BORDERS; `except BaseException` may clean up but raises again."""
    found, swallowed = set(), []
    for path, function in every(Function):
        for node in nodes(function):
            caught = ast.unparse(node.type or ast.Name("BaseException")) if isinstance(node, ast.ExceptHandler) else ""
            if re.search(r"\bException\b", caught):
                found.add(f"{path.relative_to(REPOSITORY)}:{function.name}")
            elif "BaseException" in caught and not isinstance(node.body[-1], ast.Raise):  # type: ignore[attr-defined]
                swallowed.append(f"{path.relative_to(REPOSITORY)}:{function.name}")
    assert (found, swallowed) == (set(BORDERS), [])


def test_no_text_is_run_as_code() -> None:
    wrong = [f"{place}: {target}" for place, _, target in imports() if target in UNSAFE_MODULES]
    wrong += [at(path, node) for path, node in every(ast.Call) if ast.unparse(node.func) in UNSAFE]
    wrong += [at(path, node.value) for path, node in every(ast.keyword) if node.arg == "shell"]
    assert wrong == []


def test_files_are_short() -> None:
    written = [path for folder in ("gateway", "tests", "bench") for path in (REPOSITORY / folder).rglob("*.py")]
    lengths = {str(path.relative_to(REPOSITORY)): len(path.read_text().splitlines()) for path in written}
    assert {name: lines for name, lines in lengths.items() if lines > MAX_LINES and name not in LONG_FILES} == {}
    assert all(lengths[name] > MAX_LINES for name in LONG_FILES), "an exception that is none any more"


def test_functions_are_short() -> None:
    lengths = {
        f"{path.relative_to(REPOSITORY)}:{node.name}": (node.end_lineno or 0) - node.lineno + 1
        for path, node in every(Function)
    }
    long = {name: lines for name, lines in lengths.items() if lines > MAX_FUNCTION_LINES}
    assert {name: lines for name, lines in long.items() if name not in LONG_FUNCTIONS} == {}
    assert long.keys() >= LONG_FUNCTIONS.keys(), "an exception that is none any more"


# ---------------------------------------------------------------- doors

ROUTES = (*UNDER_BASE, *AT_ROOT, *SOCKETS)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.pattern}")
def test_every_path_but_the_probes_wants_a_credential(route: Route) -> None:
    assert (route.access == "open") == (route.pattern in OPEN_PATHS)


def test_no_path_is_served_twice() -> None:
    assert len({(route.method, route.pattern) for route in ROUTES}) == len(ROUTES)


def test_every_route_has_its_handler() -> None:
    tables = (table for path, table in every(ast.Dict) if room_of(module_of(path)) == "web")
    handlers = {key.value for table in tables for key in table.keys if isinstance(key, ast.Constant)}
    assert {route.handler for route in (*UNDER_BASE, *AT_ROOT)} - handlers == set()


@pytest.mark.parametrize("door", sorted({route.handler for route in SOCKETS} | {"socketio"}))
def test_every_socket_asks_for_the_credential_itself(door: str) -> None:
    asked = {ast.unparse(n.func) for p, n in every(ast.Call) if module_of(p) == f"gateway.web.{door}"}
    assert {name.rpartition(".")[2] for name in asked} >= {"authenticate", "tenant"}
