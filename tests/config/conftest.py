"""What the configuration's tests share: a file that loads, and its problems when it does not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from config_cases import ENVIRON

from gateway.config import ConfigError, Loaded, Problem, load

Load = Callable[..., Loaded]
Problems = Callable[..., list[str]]


@pytest.fixture
def loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Load a text (or bytes) as gateway.yaml, with the environment that is given or the smallest that works."""
    monkeypatch.chdir(tmp_path)

    def from_text(text: str | bytes, environ: Mapping[str, str] = ENVIRON, *, demo: bool = False) -> Loaded:
        Path("gateway.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
        return load("gateway.yaml", environ, allow_missing_provider_keys=demo)

    return from_text


@pytest.fixture
def found(loaded: Load) -> Callable[..., list[Problem]]:
    """The problems of a text as objects; [] when it loads."""

    def of_text(text: str | bytes, environ: Mapping[str, str] = ENVIRON) -> list[Problem]:
        try:
            loaded(text, environ)
        except ConfigError as error:
            return error.problems
        return []

    return of_text


@pytest.fixture
def problems(found: Callable[..., list[Problem]]) -> Problems:
    """The problems of a text as lines, without the file's name."""
    return lambda *given: [str(problem).removeprefix("gateway.yaml:").strip() for problem in found(*given)]
