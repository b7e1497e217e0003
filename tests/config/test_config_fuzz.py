"""Whatever the file holds, load() answers with a configuration or with problems."""

from __future__ import annotations

from pathlib import Path

from config_cases import ENVIRON
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.config import ConfigError, load
from gateway.config.kinds import WORDS

SETTINGS = settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)

SHIPPED = (Path(__file__).parents[2] / "gateway.yaml").read_bytes()
TOKENS = [
    *WORDS,
    ": ",
    ", ",
    "{",
    "}",
    "[",
    "]",
    "\n",
    "\n  ",
    "- ",
    "&a ",
    "*a",
    "<<: *a",
    "'",
    '"',
    "${A}",
    "${file:/}",
    "!t ",
    "|\n",
]
TOKENS += [
    "\\ud800",
    "\\0",
    "\ufeff",
    "\u2028",
    "1e999",
    "0x",
    "--- ",
    "%YAML 9.9\n",
    "\t",
    "9" * 30,
    "providers: {a: {type: openai}}",
]


def answers(path: Path, content: bytes) -> None:
    """Load `content`; an error has problems with places inside the file, and prints."""
    path.write_bytes(content)
    try:
        load(str(path), ENVIRON)
    except ConfigError as error:
        assert error.problems
        for problem in error.problems:
            assert (
                0
                <= problem.line
                <= content.count(b"\n") + content.count(b"\r") + content.count(b"\xe2") + content.count(b"\xc2") + 2
            )
            problem.block().encode()


@SETTINGS
@given(content=st.binary(max_size=400))
def test_no_bytes_make_it_raise_anything_else(tmp_path: Path, content: bytes) -> None:
    answers(tmp_path / "gateway.yaml", content)


@SETTINGS
@given(tokens=st.lists(st.sampled_from(TOKENS), max_size=40))
def test_no_words_of_its_own_make_it_raise_anything_else(tmp_path: Path, tokens: list[str]) -> None:
    answers(tmp_path / "gateway.yaml", "".join(tokens).encode())


@SETTINGS
@given(at=st.integers(0, len(SHIPPED)), cut=st.integers(0, 30), put=st.sampled_from(TOKENS) | st.text(max_size=5))
def test_no_damage_to_the_shipped_file_makes_it_raise_anything_else(
    tmp_path: Path, at: int, cut: int, put: str
) -> None:
    answers(tmp_path / "gateway.yaml", SHIPPED[:at] + put.encode("utf-8", "replace") + SHIPPED[at + cut :])
