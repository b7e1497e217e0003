"""How a command fails: one line for the user and an exit code."""


class CommandError(Exception):
    """`code` is 1 for what failed at run time, 2 for usage and configuration."""

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.code = code
