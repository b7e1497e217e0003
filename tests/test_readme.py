"""The README and docs/api.md, followed to the letter, against a demo started the README's way.

Blocks marked bash, python and js are run, in order, with the banner's token and the demo's port in the place of 8080; a text or
json block after one of them is what it prints, with … for anything. Blocks marked sh are for a terminal of the reader's own.
"""

from __future__ import annotations

import ast
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import Struct

from gateway.config import check

REPOSITORY = Path(__file__).parents[1]
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
API = (REPOSITORY / "docs" / "api.md").read_text(encoding="utf-8")
NODE_MODULES = REPOSITORY / "tests" / "clients" / "node" / "node_modules"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
IMPORTED = re.compile(r'^import .* from "(.+)";$', re.MULTILINE)
PORT = "8080"
PLACES = {"warn": 0, "drop": 1, "without_thinking": 2}  # calls that take a warning code: at which place


class Snippet(Struct, frozen=True):
    """One block that is run. `prints` is "" where the page does not say; `form` is how it says it, text or json."""

    language: str
    code: str
    prints: str
    form: str

    @property
    def package(self) -> str:
        """The npm package of a js block, else ""."""
        found = IMPORTED.search(self.code) if self.language == "js" else None
        return found[1] if found else ""

    def told(self, printed: str) -> bool:
        """Whether this is what the page says. JSON is compared without its white space, text without that at line ends."""
        if not self.prints:
            return bool(printed)
        parts = [re.escape(_spaced(part, self.form)) for part in self.prints.strip().split("…")]
        return re.fullmatch(".*".join(parts), _spaced(printed.strip(), self.form), re.DOTALL) is not None


def _spaced(text: str, form: str) -> str:
    return re.sub(r"\s+", "", text) if form == "json" else re.sub(r" +$", "", text, flags=re.MULTILINE)


def snippets(page: str) -> list[Snippet]:
    blocks = BLOCK.findall(page)
    followers = [*blocks[1:], ("", "")]
    return [
        Snippet(language, code, after if form in ("text", "json") else "", form)
        for (language, code), (form, after) in zip(blocks, followers, strict=True)
        if language in ("bash", "python", "js")
    ]


# The openai package for Node is not among the packages of the client tests; what its block calls, the Python block calls too.
SNIPPETS = [snippet for snippet in snippets(README) + snippets(API) if snippet.package != "openai"]


class Demo(Struct):
    """A running demo: the folder that its reader stands in, its port, and the environment after the banner's export."""

    folder: Path
    port: str
    environ: dict[str, str]

    def run(self, snippet: Snippet) -> str:
        """What the snippet prints. It must end well and say nothing on stderr."""
        code = snippet.code.replace(PORT, self.port)
        commands = {
            "bash": ["bash", "-euo", "pipefail", "-c", code],
            "python": [sys.executable, "-c", code],
            "js": ["node", self._saved(code)],
        }
        done = subprocess.run(
            commands[snippet.language],
            cwd=self.folder,
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, ""), done.stdout
        return done.stdout

    def _saved(self, code: str) -> str:
        (self.folder / "snippet.mjs").write_text(code)
        return "snippet.mjs"


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """`gateway demo` in a folder like the repository, on a free port."""
    folder = tmp_path_factory.mktemp("readme")
    shutil.copy(REPOSITORY / "gateway.yaml", folder)
    (folder / ".venv").symlink_to(sys.prefix)
    if NODE_MODULES.exists():
        (folder / "node_modules").symlink_to(NODE_MODULES)
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("AI_", "GATEWAY_"))}
    environ |= {"PYTHONPATH": str(REPOSITORY), "PYTHONUNBUFFERED": "1"}
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "gateway", "demo", "--port", "0"],
            cwd=folder,
            env=environ,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    try:
        yield _entered(process, folder, environ)
    finally:
        process.send_signal(signal.SIGINT)  # Ctrl-C
        process.wait(timeout=20)
    said = (folder / "log").read_text()
    assert process.returncode == 0 and "Traceback" not in said and "RuntimeWarning" not in said, said


def _entered(process: subprocess.Popen[str], folder: Path, environ: dict[str, str]) -> Demo:
    """Read the banner as its reader does: the address and the line to export."""
    banner = ""
    assert process.stdout is not None
    for line in process.stdout:
        banner += line
        if "Ctrl-C" in line:
            break
    port = re.search(r"running at http://127\.0\.0\.1:(\d+)", banner)
    token = re.search(r"^export PASSERELLE_TOKEN=(\S+)$", banner, re.MULTILINE)
    assert port and token, banner + (folder / "log").read_text()
    assert banner.count("simulated (set AI_") == 3
    return Demo(folder, port[1], {**environ, "PASSERELLE_TOKEN": token[1]})


@pytest.mark.parametrize("snippet", SNIPPETS, ids=lambda snippet: f"{snippet.language}-{snippet.code.split()[-1]}")
def test_a_snippet_does_what_its_page_says(demo: Demo, snippet: Snippet) -> None:
    if snippet.package and not (NODE_MODULES / snippet.package).exists() and os.environ.get("CI") != "true":
        pytest.skip(f"npm ci in {NODE_MODULES.parent.relative_to(REPOSITORY)} gets {snippet.package}")
    printed = demo.run(snippet)

    assert snippet.told(printed), printed


def test_looking_around_shows_the_providers_the_figures_and_the_plan(demo: Demo) -> None:
    (around,) = (snippet for snippet in SNIPPETS if "gateway explain" in snippet.code)
    printed = demo.run(around)

    assert re.search(r'"fallbackOrder": \[\s*"openai",\s*"anthropic",\s*"gemini"', printed)
    assert '"tenant": "acme"' in printed
    assert "gateway_requests_total{" in printed
    assert "1. openai/gpt-5.4-mini  alias fast" in printed
    assert "tenant:acme " in printed
    assert printed.strip().splitlines()[-1].count(".") == 2  # the token


def test_every_surface_has_its_snippet_and_every_snippet_says_what_it_prints() -> None:
    languages = [snippet.language for snippet in snippets(README)]

    assert [languages.count(language) for language in ("bash", "python", "js")] == [4, 1, 2]
    assert len(snippets(API)) == 8
    assert [s.code for s in SNIPPETS if not s.prints and "gateway explain" not in s.code] == []
    assert [s.code for s in SNIPPETS if PORT not in s.code] == []


def test_what_a_page_says_is_compared_in_earnest() -> None:
    text, form = Snippet("bash", "", "one …\nthree\n", "text"), Snippet("bash", "", '{"a": …, "b": [1]}', "json")

    assert text.told("one two \nthree\n") and not text.told("one two\nfour\n") and not text.told("one two\nthree\nfour")
    assert form.told('{"a":5,"b":[1]}\n') and not form.told('{"a":5,"b":[2]}')


def test_the_configuration_by_example_has_no_problem(tmp_path: Path) -> None:
    (example,) = (code for language, code in BLOCK.findall(README) if language == "yaml")
    (tmp_path / "gateway.yaml").write_text(example, encoding="utf-8")
    needed = re.findall(r"\$\{(\w+)\}", example)

    assert check(str(tmp_path / "gateway.yaml"), dict.fromkeys(needed, "x" * 40), "json") == (0, "[]")


def test_every_warning_code_is_explained_and_no_other() -> None:
    (table,) = re.findall(r"^## Warnings\n(.*?)^## ", API, re.MULTILINE | re.DOTALL)
    explained = {
        code for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE) for code in re.findall(r"`(\w+)`", row)
    }

    assert explained == codes() | {"parameter_refused"}  # which the pipeline gives by the fault's kind


LOST = re.compile(r"\b(?:losses|lost|left_out)\b.*\(.*, \"(\w+)\"\)")


def codes() -> set[str]:
    """Every warning code that a dialect gives: the last argument of the calls that take one, or of a loss in reading."""
    found: set[str] = set()
    for path in (REPOSITORY / "gateway" / "dialects").glob("*.py"):
        source = path.read_text(encoding="utf-8")
        found |= set(LOST.findall(source))
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Call):
                name = ast.unparse(node.func).rpartition(".")[2]
                found |= set().union(*map(texts, node.args[PLACES.get(name, 99) :]))
    return found


def texts(node: ast.expr) -> set[str]:
    """The texts that an expression may be."""
    match node:
        case ast.Constant(value=str(text)):
            return {text}
        case ast.IfExp(body=one, orelse=other):
            return texts(one) | texts(other)
    return set()
