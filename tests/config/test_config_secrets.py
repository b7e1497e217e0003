"""No secret in a problem, a repr or an output, wherever it stands in the file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from config_cases import BASE, ENVIRON, SECRET

from gateway.config import ConfigError, Loaded, Problem, check, load, load_written
from gateway.config.masking import Span, mask
from gateway.settings import Store

Found = Callable[..., list[Problem]]
Load = Callable[..., Loaded]

CANARY = "sk-canary/Zm9v+YmFy=.x"

LEAKY = {
    "beside an unknown key": "providers: {a: {typ: x, api_key: CANARY}}",
    "under a misspelt key": "providers:\n  a:\n    api_kye: CANARY\n",
    "without its colon": "providers: {a: {type: openai, api_key CANARY}}",
    "as a key of its own": "providers: {a: {api_key: {CANARY: 1}, type: x}}",
    "twice": "providers:\n  a:\n    api_key: CANARY\n    api_key: CANARY\n",
    "in a list of keys": "providers: {a: {type: x, api_keys: [CANARY, 5, {CANARY: 1}, [CANARY]]}}",
    "where a mapping is wanted": "auth: CANARY",
    "in a comment": "server: {port: x} # the old key was CANARY\n",
    "in broken YAML": "providers: {a: {api_key: CANARY: x, type: [}}",
    "in broken YAML after a key": "providers:\n  a:\n    api_key: CANARY: x\n",
    "in an open quote": "providers:\n  a:\n    api_key: 'CANARY\n",
    "over several lines": "providers:\n  a:\n    type: |\n      CANARY\n      CANARY\n",
    "in an address": BASE
    + "store: {url: 'redis://:CANARY@x/0', ulr: x}\nalerts: {webhook_url: 'x://CANARY', webhook_secret: {CANARY: x}}",
    "in a base address": "providers: {a: {type: openai, default_model: m, base_url: 'http://u:CANARY@h/v1'}}",
    "as a short signing secret": BASE + "auth: {jwt: [{algorithm: HS256, secret: CANARY}]}",
    "as a private key": BASE + "auth: {jwt: [{algorithm: RS256, public_key: '-----BEGIN PRIVATE KEY----- CANARY'}]}",
    "as a default": 'server: {port: "${PORT:-CANARY}"}',
    "in a broken reference": 'providers: {a: {type: x, api_key: "${CANARY}"}}',
    "as an alias": "providers: {a: {type: x, api_key: *CANARY}}",
    "as a tag": "providers: {a: {type: x, api_key: !CANARY x}}",
    "from the environment, misplaced": 'server: {port: "${KEY}", workers: "${KEY}", host: {a: "${KEY}"}}\nlog: {level: "${KEY}"}',
    "from the environment, as a reference": BASE + 'models: {a: ["${KEY}"]}\ntenants: {a: {providers: ["${KEY}"]}}',
    "from the environment, too short": BASE + 'auth: {jwt: [{algorithm: HS256, secret: "${KEY}"}]}',
    "from a file, misplaced": 'server: {port: "${file:key}"}',
    "from the environment, with white space": 'providers: {a: {type: openai, default_model: m, api_key: "${KEY} "}}',
}


@pytest.mark.parametrize("text", LEAKY.values(), ids=LEAKY)
def test_no_problem_shows_a_secret(found: Found, tmp_path: Path, text: str) -> None:
    (tmp_path / "key").write_text(CANARY)
    problems = found(text.replace("CANARY", CANARY), {**ENVIRON, "KEY": CANARY})
    assert problems
    shown = ConfigError(problems).blocks() + str(ConfigError(problems)) + repr(problems)
    for part in (CANARY, "canary", "Zm9v", "YmFy"):
        assert part not in shown


@pytest.mark.parametrize("format", ["text", "json"])
def test_the_check_shows_no_secret(tmp_path: Path, format: str) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text(LEAKY["in a list of keys"].replace("CANARY", CANARY))
    code, output = check(str(path), ENVIRON, format)
    assert code == 2
    assert "canary" not in output


def test_a_loaded_configuration_does_not_print_its_secrets(loaded: Load) -> None:
    result = loaded(
        BASE[:-2]
        + f", o: {{type: openai, default_model: m, api_keys: [{CANARY}]}}}}\n"
        + f"alerts: {{webhook_secret: {CANARY}}}\n"
    )
    assert result.config.providers["o"].api_keys[0].reveal() == CANARY
    assert result.config.auth.jwt[0].secret is not None
    for text in (repr(result), str(result.config)):
        assert "canary" not in text
        assert SECRET not in text


def test_what_a_configuration_was_made_of_makes_it_again_and_is_not_printed(loaded: Load, tmp_path: Path) -> None:
    (tmp_path / "key.txt").write_text(CANARY)
    text = BASE.replace("type:", 'api_key: "${file:key.txt}", type:')
    result = loaded(text)
    (tmp_path / "key.txt").unlink()
    (tmp_path / "gateway.yaml").unlink()
    assert load_written(result.written, result.path, ENVIRON) == result.config
    assert result.files == ("key.txt",)
    for shown in (repr(result), str(result.written)):
        assert "canary" not in shown


def test_a_stores_url_is_not_printed_for_it_may_hold_a_password() -> None:
    assert "canary" not in repr(Store(url=f"redis://:{CANARY}@h/0"))


def test_a_line_keeps_its_shape_its_known_words_and_what_may_be_shown() -> None:
    line = '    api_key: "hunter2", type: openai, port: 80, x: ${NAME:-pw} # pw'
    at = line.index("80")
    assert mask(line, [Span(1, at, at + 2), Span(1, -9, -1), Span(1, 500, 600)]) == (
        '    api_key: "*******", type: openai, port: 80, *: ${NAME:***}'
    )


def test_a_long_line_is_shown_around_the_place(found: Found) -> None:
    [problem] = found(BASE + "tenants: {" + ", ".join(f"tenant{i}: {{}}" for i in range(500)) + ", last: {modles: []}}")
    assert len(problem.source_line) <= 110
    assert problem.source_line[problem.caret :].startswith("modles")


def test_terminal_escapes_do_not_reach_the_terminal(found: Found, tmp_path: Path) -> None:
    [problem] = found(BASE + 'server: {host: "${V:?\\e[31mred}"}')
    assert "\x1b" not in problem.block()
    with pytest.raises(ConfigError) as raised:
        load(str(tmp_path / "\x1b[31m"), {})
    assert "\x1b" not in str(raised.value)
