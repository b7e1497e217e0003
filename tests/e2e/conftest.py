"""Makes the fixtures of e2e_stack.py and e2e_workers.py known to this folder."""

from e2e_stack import one_catalogue, stack, start_stack
from e2e_workers import run

__all__ = ["one_catalogue", "run", "stack", "start_stack"]
