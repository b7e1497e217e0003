"""gateway.yaml: read, checked, explained. `load` for those who need a Config, `check` and `schema` for the command line."""

from gateway.config.loading import Loaded, Written, check, load, load_written
from gateway.config.problems import ConfigError, Problem
from gateway.config.schema import schema, schema_text

__all__ = ["ConfigError", "Loaded", "Problem", "Written", "check", "load", "load_written", "schema", "schema_text"]
