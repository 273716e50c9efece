"""Measured figures, each a command that prints a table and, with --json, writes a file."""
