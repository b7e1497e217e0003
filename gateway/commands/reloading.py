"""Reading the configuration again when it changes, without a restart."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from gateway.app import Gateway
from gateway.config import ConfigError, Loaded, Written, load, load_written
from gateway.logs import LogWriter
from gateway.settings import Config

Look = tuple[int, int, int] | None  # time, size and inode of a file, None when there is none


class Reloader:
    """Sees that the configuration changed: by SIGHUP, or by the file's and its references' time, size or inode.

    Polling sees what notification misses: a ConfigMap's swapped link, an editor that writes a new file.
    written: what the last configuration that loaded was made of. tell: who else wants it, once it is served.
    refused: what was wrong with the file when `load_or_keep` kept the old one.
    """

    written: Written

    def __init__(self, path: str, environ: Mapping[str, str], adapt: Callable[[Loaded], Config] | None = None) -> None:
        """`adapt`: what makes the served config of a loaded one (the demo's simulators); missing keys are then allowed."""
        self._path = path
        self._environ = environ
        self._adapt = adapt
        self._seen: dict[str, Look] = {path: None}
        self._forced = False
        self.refused: ConfigError | None = None
        self.tell: Callable[[Written], None] = lambda written: None

    def load(self) -> Config:
        """Read the configuration. Raises ConfigError; the same bad file is then not read again."""
        # Looked at before it is read: what changes meanwhile will be seen to differ.
        self._seen = {name: _look(name) for name in self._seen}
        loaded = load(self._path, self._environ, allow_missing_provider_keys=self._adapt is not None)
        self.written = loaded.written
        files = (self._path, *loaded.files)
        self._seen = {name: self._seen[name] if name in self._seen else _look(name) for name in files}
        return loaded.config if self._adapt is None else self._adapt(loaded)

    def load_or_keep(self, kept: Written) -> Config:
        """Read the configuration, or take the kept one when something is wrong with the file; `begin` will say what."""
        # The kept one's references too are looked at before the file is read: what was wrong may be one of them.
        self._seen = dict.fromkeys((self._path, *kept.files(self._path)))
        try:
            return self.load()
        except ConfigError as error:
            self.refused = error
            return load_written(kept, self._path, self._environ)

    def begin(self, gateway: Gateway, log: LogWriter) -> None:
        """The configuration is served: say what was wrong with the file when it is the kept one."""
        if self.refused is not None:
            self._report(gateway, log, self.refused)

    def force(self) -> None:
        """Read again at the next step, changed or not."""
        self._forced = True

    async def step(self, gateway: Gateway, log: LogWriter) -> None:
        """Reload when something changed. A bad file changes nothing and is reported once."""
        if not self._forced and all(_look(name) == seen for name, seen in self._seen.items()):
            return
        self._forced = False
        try:
            await gateway.reload(self.load())
        except ConfigError as error:
            self._report(gateway, log, error)
            return
        self.tell(self.written)
        gateway.registry.count("gateway_config_reloads_total", "ok")
        log.event("info", "reloaded", file=self._path)

    def _report(self, gateway: Gateway, log: LogWriter, error: ConfigError) -> None:
        gateway.registry.count("gateway_config_reloads_total", "error")
        log_refusal(log, error)


def log_refusal(log: LogWriter, error: ConfigError) -> None:
    """Say in the log what is wrong with the file."""
    log.event("error", "reload_refused", problems=[str(problem) for problem in error.problems])


def _look(name: str) -> Look:
    try:
        found = Path(name).stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
