"""How a command fails: one line for the user and an exit code, 1 for what failed at run time, 2 for usage and configuration."""

from __future__ import annotations

import sys
from collections.abc import Callable

from gateway.config import ConfigError
from gateway.settings import NAME, Config, Tenant


class CommandError(Exception):
    """`code` is 1 for what failed at run time, 2 for usage and configuration."""

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.code = code


def known_tenant(config: Config, name: str) -> Tenant:
    """The settings of the tenant `name`. Raises CommandError for one that nobody serves."""
    tenant = config.tenant(name)
    if tenant is not None:
        return tenant
    if not NAME.match(name):
        raise CommandError(f"{name!r} cannot be a tenant's name", 2)
    raise CommandError(f"there is no tenant '{name}', and tenants.default.allow_unlisted is off", 2)


def exit_code(command: Callable[[], int]) -> int:
    """Run a command; what is wrong goes to stderr, without a traceback."""
    try:
        return command()
    except ConfigError as error:
        print(error.blocks(), file=sys.stderr)
        return 2
    except CommandError as error:
        print(f"gateway: {error}", file=sys.stderr)
        return error.code
    except BrokenPipeError:
        return 1
    except KeyboardInterrupt:
        return 130
