"""gateway.yaml to a `Config`, or to all that is wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Sized
from collections.abc import Mapping as Environ
from dataclasses import dataclass, field
from pathlib import Path as FilePath

from msgspec import json

from gateway.config.crosschecks import cross_check, missing_keys, report_missing_keys
from gateway.config.inheritance import add_unwritten, resolve
from gateway.config.problems import WHOLE_FILE, ConfigError, Place, Report, TooMany, as_objects
from gateway.config.reading import read_config, read_reference
from gateway.config.source import Mapping, Scalar, parse
from gateway.config.validate import Facts, Reader
from gateway.settings import Config


@dataclass(frozen=True, slots=True, repr=False)
class Written:
    """What a configuration was made of besides the environment: the bytes of the file, and the texts of its `${file:}` by name.

    It holds secrets in plain: it has no repr, and goes nowhere but to a process that would read the same files.
    """

    content: bytes
    references: dict[str, str]

    def files(self, path: str) -> tuple[str, ...]:
        """Where the texts came from, when `path` is the file's."""
        return tuple(str(FilePath(path).parent / name) for name in self.references)


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration that holds together.

    path: the file it came from. written: what it was made of. missing_keys: providers without an API key and the variable that
    should hold it ("" when the file names none); empty unless they were allowed.
    """

    config: Config
    path: str
    written: Written
    missing_keys: dict[str, str] = field(default_factory=dict)

    @property
    def files(self) -> tuple[str, ...]:
        """What `${file:}` read, for whoever watches for changes."""
        return self.written.files(self.path)


def load(path: str, environ: Environ[str, str], *, allow_missing_provider_keys: bool = False) -> Loaded:
    """Read, substitute, check and resolve the file. Raises ConfigError with every problem, and nothing else.

    With `allow_missing_provider_keys` a provider whose key is not set is loaded without one and named in `missing_keys`.
    """
    folder, references = FilePath(path).parent, dict[str, str]()

    def read(name: str) -> str:
        if name not in references:  # named twice it is the same text, whatever is written meanwhile
            references[name] = read_reference(name, folder)
        return references[name]

    report = Report(path)
    try:
        content = read_config(path)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        report.add(WHOLE_FILE, (), f"cannot be read: {getattr(error, 'strerror', None) or 'no such name can exist'}")
        raise ConfigError(report.problems()) from None
    config, missing = interpret(content, report, environ, read, allow_missing_provider_keys)
    return Loaded(config, path, Written(content, references), missing)


def load_written(written: Written, path: str, environ: Environ[str, str]) -> Config:
    """The configuration again that `load` made of the same and of this environment, whatever is on disk now."""
    return interpret(written.content, Report(path), environ, written.references.__getitem__)[0]


def interpret(
    content: bytes,
    report: Report,
    environ: Environ[str, str],
    read: Callable[[str], str],
    allow_missing_provider_keys: bool = False,
) -> tuple[Config, dict[str, str]]:
    """The bytes of a file as a config, and the providers without a key. `report` knows the file's name. Raises ConfigError."""
    try:
        result = _interpret(content, report, environ, read, allow_missing_provider_keys)
    except TooMany:
        result = None
    if report or result is None:
        raise ConfigError(report.problems())
    return result


def _interpret(
    content: bytes, report: Report, environ: Environ[str, str], read: Callable[[str], str], allow_missing: bool
) -> tuple[Config, dict[str, str]] | None:
    text = _decoded(content, report)
    root = parse(text, report) if text is not None else None
    if isinstance(root, Scalar) and root.plain and not root.text:
        report.add(WHOLE_FILE, (), "the file is empty; it needs at least `providers`")
    if not isinstance(root, Mapping):
        if root is not None and not report:
            report.add(root.place, (), "the file must be a mapping: `key: value` lines")
        return None
    add_unwritten(root, environ)
    reader = Reader(report, environ, read, allow_missing)
    raw = reader.config(root)
    return _checked(resolve(raw, reader.facts.places), reader.facts, report, allow_missing)


def _checked(config: Config, facts: Facts, report: Report, allow_missing: bool) -> tuple[Config, dict[str, str]]:
    cross_check(config, facts, report)
    missing = missing_keys(config, facts)
    if not allow_missing:
        report_missing_keys(missing, facts, report)
    return config, missing


def _decoded(content: bytes, report: Report) -> str | None:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # Lines as editors count them: str.splitlines would also split at vertical tabs and the like.
        before = content[: error.start].decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n").split("\n")
        report.add(Place(len(before), len(before[-1]) + 1), (), f"the byte 0x{content[error.start]:02x} is not UTF-8")
        return None


# ---------------------------------------------------------------- gateway check


def check(path: str, environ: Environ[str, str], format: str = "text") -> tuple[int, str]:
    """What `gateway check` answers: its exit code (0 or 2) and its output, as text or as a JSON list of problems."""
    try:
        config = load(path, environ).config
    except ConfigError as error:
        return 2, error.blocks() if format == "text" else _json(error)
    sizes = [
        _count(config.providers, "provider"),
        _count(config.tenants, "tenant"),
        _count(config.models, "alias", "aliases"),
    ]
    return 0, f"{path}: ok ({', '.join(sizes)})" if format == "text" else "[]"


def _json(error: ConfigError) -> str:
    return json.format(json.encode(as_objects(error.problems))).decode()


def _count(things: Sized, one: str, many: str = "") -> str:
    return f"{len(things)} {one if len(things) == 1 else many or one + 's'}"
