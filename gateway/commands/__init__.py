"""The commands that need more than a line: each file one command, `run(arguments) -> exit code`."""
