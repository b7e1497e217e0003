"""What scalars mean, and where they come from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from config_cases import BASE, ENVIRON

from gateway.config import Loaded, Problem

Problems = Callable[..., list[str]]
Load = Callable[..., Loaded]

WRONG = [
    ('server: {port: "80"}', "2:16: server.port: expected a whole number from 0 to 65535, not '80'. Remove the quotes"),
    ("server: {port: 65536}", "2:16: server.port: expected a whole number from 0 to 65535, not 65536"),
    ("server: {port: eighty}", "2:16: server.port: expected a whole number from 0 to 65535, not 'eighty'"),
    ("server: {port: }", "2:16: server.port: expected a whole number from 0 to 65535, not nothing"),
    ("server: {port: 80.0}", "2:16: server.port: expected a whole number from 0 to 65535, not 80.0"),
    ("server: {workers: many}", "2:19: server.workers: expected a whole number from 1 to 512 or auto, not 'many'"),
    ("server: {host: 5}", "2:16: server.host: expected a text, not 5. Put it in quotes"),
    ("server: {host: true}", "2:16: server.host: expected a text, not true. Put it in quotes"),
    ('server: {host: ""}', "2:16: server.host: this is empty; a text is needed"),
    ("server: [80]", "2:9: server: expected a mapping, not a list"),
    ("server: 80", "2:9: server: expected a mapping, not a single value"),
    ("fallback: {enabled: on}", "2:21: fallback.enabled: expected true or false, not 'on'. Write true"),
    ("fallback: {enabled: No}", "2:21: fallback.enabled: expected true or false, not 'No'. Write false"),
    ('fallback: {enabled: "true"}', "2:21: fallback.enabled: expected true or false, not 'true'. Remove the quotes"),
    ("breaker: {open_s: .inf}", "2:19: breaker.open_s: expected a number above 0, not .inf"),
    ("breaker: {open_s: 1e999}", "2:19: breaker.open_s: the number is too large, at most 9007199254740992 is kept exactly"),
    ("breaker: {failures: " + "9" * 5000 + "}", "2:21: breaker.failures: expected a whole number of at least 1, not " + "9" * 40),
    (
        "limits: {tokens_per_minute: 9007199254740993}",
        "2:29: limits.tokens_per_minute: the number is too large, at most 9007199254740992 is kept exactly",
    ),
    (
        "limits: {tokens_per_minute: 1_000}",
        "2:29: limits.tokens_per_minute: expected a whole number of at least 1, not '1_000'. Write the digits without separators",
    ),
    ("log: {level: warn}", "2:14: log.level: expected one of debug, error, info, warning, not 'warn'. Did you mean 'warning'?"),
    ("log: {levle: info}", "2:7: log.levle: unknown key. Did you mean 'level'?"),
    ("log: {zzz: info}", "2:7: log.zzz: unknown key. The keys here are level, format, content"),
    ("tenant: {}", "2:1: tenant: unknown key. Did you mean 'tenants'?"),
    ("tenants: {a: {daily_tokens: 1}}", "2:15: tenants.a.daily_tokens: unknown key. Did you mean 'quota.daily_tokens'?"),
    ("log: {level info}", "2:7: log: there is a key here that looks like none (and is not shown). Is a ': ' missing?"),
    ("models: {fast: local}", "2:16: models.fast: expected a list of texts, not a single value. Write it in [brackets]"),
    ("tenants: {a/b: {}}", "2:11: tenants: 'a/b' cannot be a name here. Use up to 64 letters, digits, '_', '.' and '-', a letter or digit first"),
    ("server: {port: {PORT}}", "2:16: server.port: expected a whole number from 0 to 65535, not a mapping. A reference needs quotes: \"${NAME}\""),
    ("auth: {api_keys: [{tenant: t}]}", "2:19: auth.api_keys[0].name: this key is missing"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "problem"), WRONG)
def test_a_wrong_value_is_told_with_its_place_and_what_to_write(problems: Problems, text: str, problem: str) -> None:
    assert problem in problems(BASE + text)


def test_all_problems_of_a_file_come_at_once_in_its_order(problems: Problems) -> None:
    lines = problems(
        "log: {level: loud}\nserver: {port: -1}\nproviders: {}\nstore: {url: x}\nauth: {jwt: [{algorithm: none}]}\n"
    )
    assert [line.split(": ")[1] for line in lines] == [
        "log.level",
        "server.port",
        "providers",
        "store.url",
        "auth.jwt[0].algorithm",
    ]


def test_a_problem_is_shown_with_its_source_line_and_a_caret(found: Callable[..., list[Problem]]) -> None:
    [problem] = found(BASE + "server: {port: eighty} # why not\n")
    assert problem.block() == (
        "gateway.yaml:2:16: server.port: expected a whole number from 0 to 65535, not 'eighty'\n"
        "    2 | server: {port: eighty}\n"
        "      |                ^"
    )


NUMBERS = [("8080", 8080), ("0o17", 15), ("0x1F", 31), ("+7", 7), ("017", 17)]


@pytest.mark.parametrize(("text", "number"), NUMBERS)
def test_whole_numbers_follow_the_core_schema(loaded: Load, text: str, number: int) -> None:
    assert loaded(BASE + f"server: {{port: {text}}}").config.server.port == number


@pytest.mark.parametrize(("text", "number"), [("2", 2), ("2.5", 2.5), (".5", 0.5), ("1e1", 10.0)])
def test_numbers_follow_the_core_schema(loaded: Load, text: str, number: float) -> None:
    assert loaded(BASE + f"breaker: {{open_s: {text}}}").config.breaker.open_s == number


@pytest.mark.parametrize("text", ["yes", "no", "on", "off", "1_000", "1:30", "2024-01-02", "<<"])
def test_what_yaml_1_1_would_convert_stays_a_text(loaded: Load, text: str) -> None:
    assert loaded(BASE + f"server: {{host: {text}}}").config.server.host == text


def test_an_empty_section_means_its_defaults(loaded: Load) -> None:
    assert loaded(BASE + "cache:\nlog: ~\nmodels:\n").config.cache.ttl_s == 300


ENVIRONMENT = [
    ("server", "port", "9", 9),
    ("server", "port", " 9\n", 9),
    ("server", "workers", "auto", "auto"),
    ("server", "workers", "2", 2),
    ("server", "host", "5", "5"),
    ("server", "host", "$HOME ${X}", "$HOME ${X}"),  # what comes from outside is not expanded again
    ("fallback", "enabled", "false", False),
    ("fallback", "enabled", "True", True),
    ("limits", "tokens_per_minute", "", None),
    ("cache", "ttl_s", "0.5", 0.5),
]


@pytest.mark.parametrize(("section", "key", "text", "value"), ENVIRONMENT)
def test_a_text_from_the_environment_becomes_what_its_key_needs(
    loaded: Load, section: str, key: str, text: str, value: object
) -> None:
    config = loaded(BASE + f'{section}: {{{key}: "${{V}}"}}', {**ENVIRON, "V": text}).config
    assert getattr(getattr(config, section), key) == value


@pytest.mark.parametrize(
    ("written", "host"),
    [
        ("${V:-here}", "here"),
        ("${EMPTY:-here}", "here"),
        ("${SET:-here}", "there"),
        ("${SET:?must be}", "there"),
        ("a-${SET}-$$-${V:-}b", "a-there-$-b"),
        ("$$", "$"),
        ("$${SET}", "${SET}"),
        ("$5", "$5"),
        ("${V:-a:-b}", "a:-b"),
    ],
)
def test_references_are_replaced_as_shells_do(loaded: Load, written: str, host: str) -> None:
    environ = {**ENVIRON, "SET": "there", "EMPTY": ""}
    assert loaded(BASE + f'server: {{host: "{written}"}}', environ).config.server.host == host


REFERENCES = [
    ("${V}", "the environment variable V is not set. Export it, or write ${V:-a default}"),
    ("${V:?say which}", "the environment variable V is not set: say which. Export it, or write ${V:-a default}"),
    (
        "${EMPTY:?say which}",
        "the environment variable EMPTY is not set: say which. Export it, or write ${EMPTY:-a default}",
    ),
    ("${EMPTY}", "EMPTY is empty; a text is needed"),
    ("${V", "'${' without its '}'. References do not nest; write $$ for a dollar sign"),
    ("${A:-${B}}", "'${' without its '}'. References do not nest; write $$ for a dollar sign"),
    ("${file:gone}", "the file gone cannot be read: No such file or directory"),
    ("${file:.}", "the file . cannot be read: it is not a regular file"),
    ("${file:/dev/zero}", "the file /dev/zero cannot be read: it is not a regular file"),
    ("${file:binary}", "the file binary is not UTF-8 text"),
    ("${file:large}", "the file large cannot be read: File too large, at most 64 KiB are read"),
]


@pytest.mark.parametrize(("written", "problem"), REFERENCES)
def test_a_reference_that_leads_nowhere_is_a_problem(
    problems: Problems, tmp_path: Path, written: str, problem: str
) -> None:
    (tmp_path / "binary").write_bytes(b"\xff")
    (tmp_path / "large").write_bytes(b"x" * 70_000)
    assert problems(BASE + f'server: {{host: "{written}"}}', {**ENVIRON, "EMPTY": ""}) == [
        f"2:16: server.host: {problem}"
    ]


@pytest.mark.parametrize("written", ["${}", "${1A}", "${A-b}", "${A:+b}", "${ A }", "${file}"])
def test_other_forms_of_references_are_refused_with_the_known_ones(problems: Problems, written: str) -> None:
    if written == "${file}":
        assert problems(BASE + f'server: {{host: "{written}"}}')[0].startswith(
            "2:16: server.host: the environment variable file"
        )
    else:
        assert (
            "this reference is none of the known forms. These are ${NAME},"
            in problems(BASE + f'server: {{host: "{written}"}}')[0]
        )


def test_a_file_gives_its_text_without_the_last_line_end_and_is_named_for_the_watcher(
    loaded: Load, tmp_path: Path
) -> None:
    (tmp_path / "host").write_text("example.com\r\n")
    result = loaded(BASE + 'server: {host: "${file:host}"}\nadmin: {host: "${file:' + str(tmp_path) + '/host}"}')
    assert (result.config.server.host, result.config.admin.host) == ("example.com", "example.com")
    assert result.files == ("host", str(tmp_path / "host"))
