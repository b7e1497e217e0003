"""Proves what docs/quotas.md promises, against running processes that are killed on the way: `python -m bench.proving --help`."""
