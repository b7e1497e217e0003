"""Passerelle: a multi-tenant LLM gateway. Read pipeline.py first."""

__version__ = "0.1.0"
