"""The collector's tests."""
