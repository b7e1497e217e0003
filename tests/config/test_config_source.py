"""YAML that is broken, odd or hostile: a place and a sentence, in bounded time."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from config_cases import BASE

from gateway.config import ConfigError, Loaded, load
from gateway.config.problems import Report
from gateway.config.source import Listing, Mapping, Scalar, parse

Problems = Callable[..., list[str]]
Load = Callable[..., Loaded]

BROKEN = [
    (b"", "the file is empty; it needs at least `providers`"),
    (b"# only a comment\n", "the file is empty; it needs at least `providers`"),
    (b"just words", "1:1: the file must be a mapping: `key: value` lines"),
    (b"- a\n- b\n", "1:1: the file must be a mapping: `key: value` lines"),
    (b"a: 1\nb: \xff\n", "2:4: the byte 0xff is not UTF-8"),
    (b"a: 1\nb:\x00\n", "2:3: the character U+0000 is not allowed in YAML"),
    (b"\x89PNG\r\n\x1a\n", "1:1: the byte 0x89 is not UTF-8"),
    (b"a: 1\n---\nb: 2\n", "2:1: a second document starts here; one is read"),
    (
        b"server: !!python/object:os.system x\n",
        "1:9: tags like !!str are not read here. Put the value in quotes if it is a text",
    ),
    (b"server: *nobody\n", "1:9: the alias *nobody has no anchor before it. A value that starts with * needs quotes"),
    (b"a: &a [*a]\n", "1:8: the alias *a has no anchor before it. A value that starts with * needs quotes"),
    (b"server: {[1]: 2}\n", "1:10: a key must be a text"),
    (b"server: {<<: 3}\n", "1:14: << takes a mapping or a list of mappings"),
]


@pytest.mark.parametrize(("content", "problem"), BROKEN)
def test_what_is_no_configuration_is_told_with_its_place(problems: Problems, content: bytes, problem: str) -> None:
    assert problems(content) == [problem]


@pytest.mark.parametrize("loader", [yaml.CSafeLoader, yaml.SafeLoader])
@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("server:\n\tport: 1\n", 2),
        ("server: {port: 1\nadmin: {}\n", 2),
        ('log: "open', 1),
        ("a: b: c\n", 1),
        ("a: @x", 1),
    ],
)
def test_broken_yaml_names_its_line_with_either_parser(loader: type, text: str, line: int) -> None:
    report = Report("f")
    assert parse(text, report, loader) is None
    [problem] = report.problems()
    assert problem.message.startswith("broken YAML")
    assert problem.line in (line, line + 1)


@pytest.mark.parametrize("loader", [yaml.CSafeLoader, yaml.SafeLoader])
def test_both_parsers_give_the_same_tree(loader: type) -> None:
    tree = parse('a: &x {k: "v", n: 0o17}\nb: [*x, plain]\nc: {<<: *x, n: 1}\n', Report("f"), loader)
    assert isinstance(tree, Mapping)
    b, c = tree.entries["b"].node, tree.entries["c"].node
    assert isinstance(b, Listing) and isinstance(c, Mapping)
    assert b.items[0] is tree.entries["a"].node
    assert isinstance(b.items[1], Scalar) and (b.items[1].place.line, b.items[1].place.col, b.items[1].plain) == (
        2,
        9,
        True,
    )
    assert {key: entry.node.text for key, entry in c.entries.items() if isinstance(entry.node, Scalar)} == {
        "n": "1",
        "k": "v",
    }


@pytest.mark.parametrize("loader", [yaml.CSafeLoader, yaml.SafeLoader])
@pytest.mark.parametrize("escape", ["\\UFFFFFFFF", "\\ud800", "\\q"])
def test_an_escape_that_is_no_character_is_a_problem_with_either_parser(loader: type, escape: str) -> None:
    report = Report("f")
    assert parse(f'a: "{escape}"', report, loader) is None
    assert len(report.problems()) == 1


def test_a_reference_without_quotes_in_a_flow_mapping_gets_a_hint(problems: Problems) -> None:
    [problem] = problems("providers: {a: {type: openai, api_key: ${KEY}}}")
    assert problem.endswith('Put "${NAME}" in double quotes')


def test_a_duplicate_key_is_told_at_its_second_place_and_reading_goes_on(problems: Problems) -> None:
    assert problems(BASE + "log: {level: info}\nserver: {port: 1, port: 99999}\nlog: {}\ncache: {ttl_s: 0}\n") == [
        "3:19: server.port: this key is already set at line 3",
        "4:1: log: this key is already set at line 2",
        "5:16: cache.ttl_s: expected a number above 0, not 0",
    ]


def test_anchors_and_merge_keys_are_read_and_own_keys_win(loaded: Load) -> None:
    text = BASE + "tenants:\n  a: &a {quota: {daily_tokens: 1}, models: [m]}\n  b: {<<: *a, models: [n]}\n"
    tenants = loaded(text).config.tenants
    assert (tenants["b"].quota.daily_tokens, tenants["b"].models) == (1, ["n"])


def test_an_alias_to_something_wrong_is_one_problem_not_many(problems: Problems) -> None:
    [problem] = problems(BASE + "tenants:\n  a: {limits: &l {concurrency: 0}}\n  b: {limits: *l}\n")[:1]
    assert problem == "3:32: tenants.a.limits.concurrency: expected a whole number of at least 1, not 0"


def billion_laughs() -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    return "\n".join(lines + [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)])


HOSTILE = [
    pytest.param(b"a: " + b"x" * 10_000_000, "File too large, at most 1024 KiB are read", id="ten megabytes"),
    pytest.param(b"[" * 500_000, "nested deeper than 32 levels", id="depth"),
    pytest.param(b"a: " + b"{a: " * 200_000, "nested deeper than 32 levels", id="depth of mappings"),
    pytest.param(billion_laughs().encode(), "more than 200000 values, aliases counted in full", id="billion laughs"),
    pytest.param(
        b"a0: &a0 {k: v}\n" + b"".join(b"a%d: &a%d {<<: [*a%d, *a%d]}\n" % (i, i, i - 1, i - 1) for i in range(1, 40)),
        "more than 200000 values, aliases counted in full",
        id="merge bomb",
    ),
    pytest.param(b"[" + b"1," * 400_000 + b"]", "more than 200000 values", id="many values"),
]


@pytest.mark.parametrize(("content", "problem"), HOSTILE)
def test_a_hostile_file_is_refused_in_bounded_time(problems: Problems, content: bytes, problem: str) -> None:
    began = time.monotonic()
    [line] = problems(content)
    assert problem in line
    assert time.monotonic() - began < 20


@pytest.mark.parametrize(
    "text",
    [
        "".join(f"unknown_{i}: 1\n" for i in range(40_000)),
        "models: {" + ",".join(f"m{i}: [p{i}]" for i in range(30_000)) + "}",
        "providers: {" + ",".join(f"p{i}: {{type: openai, default_model: m}}" for i in range(15_000)) + "}",
        "log: {level: " + "x" * 900_000 + "}",
        "x" * 900_000 + ": 1",
    ],
)
def test_the_problems_of_one_file_are_at_most_a_hundred_and_short(problems: Problems, text: str) -> None:
    began = time.monotonic()
    lines = problems(text)
    assert 0 < len(lines) <= 100
    assert max(map(len, lines)) < 600
    assert time.monotonic() - began < 20


def test_a_file_that_is_not_there_is_one_problem_without_a_place(tmp_path: Path) -> None:
    for path, reason in [
        (str(tmp_path / "gone.yaml"), "No such file"),
        (str(tmp_path), "Is a directory"),
        ("a\0b", "no such name"),
    ]:
        with pytest.raises(ConfigError) as raised:
            load(path, {})
        [problem] = raised.value.problems
        assert (problem.line, problem.col) == (0, 0)
        assert reason in problem.message
