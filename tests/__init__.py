"""The tests, in the folders of the packages that they test; `pytest -m "not browser and not big"` runs the quick ones."""
