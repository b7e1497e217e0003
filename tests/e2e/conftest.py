"""Makes the fixtures of e2e_stack.py known to this folder."""

from e2e_stack import one_catalogue, stack, start_stack

__all__ = ["one_catalogue", "stack", "start_stack"]
