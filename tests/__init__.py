"""The tests, by package; `make test-fast` runs those that need neither a browser nor a full-size model."""
