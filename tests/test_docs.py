"""What is written for readers: generated pages are up to date, commands exist, and nothing private is in any file."""

from __future__ import annotations

import re
import runpy
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest

from gateway import errors
from gateway.__main__ import main
from gateway.errors import ERRORS, GatewayError
from gateway.telemetry import METRICS

REPOSITORY = Path(__file__).parents[1]
PAGES = sorted([*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").rglob("*.md")])
COMMAND = re.compile(r"^\s*(?:\$ )?(?:\S+=\S* )*(?:\S*/)?(?:python3? -m )?gateway (.+)$")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SHELLS = ("", "sh", "bash", "shell", "console", "text")

# Written so that this file does not find itself.
PRIVATE = {
    "a path of one machine": r"/(?:wor[k]|roo[t]|opt/wheel[s]|home/(?!user\b|you\b|gateway\b)\w+|Users/\w+)/",
    "the host of a package registry": r"files[.]pythonhosted|pypi[.]org/simple|registry[.]npmjs|registry[.]yarnpkg",
    "a key of OpenAI or Anthropic": r"\bsk-(?:proj-|ant-api\d\d-)?[A-Za-z0-9_]{32,}",
    "a key of Google": r"\bAIza[0-9A-Za-z_-]{35}\b",
    "a key of Amazon": r"\bAKIA[0-9A-Z]{16}\b",
    "a token of a code host": r"\b(?:gh[pousr]_[A-Za-z0-9]{36}|github_pat_\w{60,}|glpat-[\w-]{20})",
    "a private key": r"-----BEGIN [A-Z ]*PRIVATE KEY-----\n[A-Za-z0-9+/]{40}",
}


@pytest.fixture(scope="module")
def generator() -> dict[str, Any]:
    return runpy.run_path(str(REPOSITORY / "scripts" / "generate-docs"))


# ---------------------------------------------------------------- generated pages


@pytest.mark.parametrize("page", ["errors", "metrics"])
def test_a_generated_page_is_the_generated_one(generator: dict[str, Any], page: str) -> None:
    written = (REPOSITORY / "docs" / f"{page}.md").read_text(encoding="utf-8")
    assert written == generator[f"{page}_page"](), "run .venv/bin/python scripts/generate-docs"


def test_every_error_has_a_meaning_and_every_meaning_an_error(generator: dict[str, Any]) -> None:
    assert {error.code for error in ERRORS} == generator["MEANINGS"].keys()


def test_every_kind_of_error_is_in_the_table() -> None:
    kinds = {kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, GatewayError)}
    assert kinds - {GatewayError} == set(ERRORS)
    assert len({error.code for error in ERRORS}) == len(ERRORS)


def test_metrics_are_named_as_prometheus_wants() -> None:
    counters = {name for name, metric in METRICS.items() if metric.kind == "counter"}
    assert {name for name in METRICS if name.endswith("_total")} == counters
    assert {name for name in METRICS if not re.fullmatch(r"(gateway|gen_ai)_[a-z_]+", name)} == set()
    assert {name for name, metric in METRICS.items() if bool(metric.buckets) != (metric.kind == "histogram")} == set()


# ---------------------------------------------------------------- commands


def commands() -> list[tuple[str, str]]:
    """(page, arguments) of every `gateway …` line in a fenced block; lines that go on are joined."""
    found = []
    for page in PAGES:
        blocks = FENCE.findall(page.read_text(encoding="utf-8"))
        for block in (block for language, block in blocks if language in SHELLS):
            for line in block.replace("\\\n", " ").splitlines():
                if match := COMMAND.match(line):
                    found.append((page.name, match[1]))
    return found


@pytest.mark.parametrize(("page", "arguments"), commands())
def test_a_command_in_the_docs_exists(page: str, arguments: str, capsys: pytest.CaptureFixture[str]) -> None:
    name, *words = shlex.split(re.split(r"[|>;&]", arguments)[0], comments=True)
    with pytest.raises(SystemExit) as ended:
        main([name] if name.startswith("--") else [name, "--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert [word for word in words if word.startswith("-") and word.split("=")[0] not in shown] == []


def test_the_docs_show_commands() -> None:
    assert {arguments.split()[0] for _, arguments in commands()} >= {"serve", "check", "token"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    assert [t for t in targets if "://" not in t and not (page.parent / t).exists()] == []


def test_the_readme_stays_readable_in_one_sitting() -> None:
    assert len((REPOSITORY / "README.md").read_text(encoding="utf-8").splitlines()) < 250


# ---------------------------------------------------------------- what must not be there


def tracked() -> list[Path]:
    """Every file that is, or is about to be, in git."""
    listed = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=REPOSITORY,
        capture_output=True,
        check=True,
        text=True,
    ).stdout
    return [path for name in listed.split("\0") if name and (path := REPOSITORY / name).is_file()]


def test_no_file_holds_a_secret_or_speaks_of_a_machine() -> None:
    files = tracked()
    assert len(files) > 100
    found = []
    for path in files:
        text = path.read_bytes().decode("utf-8", "replace")
        found += [
            f"{path.relative_to(REPOSITORY)}: {what}" for what, pattern in PRIVATE.items() if re.search(pattern, text)
        ]
    assert found == []


@pytest.mark.parametrize(
    "text",
    [
        *("/wor" + "k/main/x.py", "/hom" + "e/ann/x", "https://files." + "pythonhosted.org/x", "sk-" + "a1" * 24),
        *("AIza" + "x" * 35, "AKIA" + "A" * 16, "ghp_" + "a" * 36, "-----BEGIN RSA " + "PRIVATE KEY-----\n" + "M" * 40),
    ],
)
def test_what_must_not_be_there_would_be_found(text: str) -> None:
    assert [what for what, pattern in PRIVATE.items() if re.search(pattern, text)] != []
