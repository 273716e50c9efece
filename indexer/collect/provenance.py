"""Provenance: where pictures came from, written into the catalogue some at a time, and made good after a kill.

Not here: the sidecars, which have it first (`keep`).
"""

from __future__ import annotations

from pathlib import Path

from indexer.collect.journal import Journal
from indexer.collect.keep import row_of_sidecar
from recommender.catalogue import Catalogue, CollectedRow

ROWS_AT_ONCE = 64
"""Provenance that is written to the catalogue in one transaction; until then the sidecars have it."""


class Provenance:
    """Writes where pictures came from into the catalogue, some at a time."""

    def __init__(self, catalogue: Catalogue, into: Path, journal: Journal) -> None:
        self._catalogue, self._library = catalogue, str(into.resolve())
        self._rows: list[CollectedRow] = []
        self._gone: list[tuple[str, str]] = []
        known = {row.path for row in catalogue.collected(library=self._library)}
        filed = {one.path for one in journal.filed()}
        # What a killed run had filed but not yet written here, and what it had replaced.
        self._rows += [row for path in sorted(filed - known) if (row := row_of_sidecar(into, path))]
        self._gone += [(self._library, path) for path in sorted(known - filed) if not (into / path).exists()]
        self.finish()

    def add(self, row: CollectedRow, replaces: str) -> None:
        """Take a row, and drop that of the file it replaces."""
        self._rows = [one for one in self._rows if one.path != replaces] + [row]
        if replaces:
            self._gone.append((self._library, replaces))
        if len(self._rows) >= ROWS_AT_ONCE:
            self.finish()

    def sources(self) -> dict[str, str]:
        """Return the name of the source of each file of the library."""
        return {row.path: row.source for row in self._catalogue.collected(library=self._library)}

    def finish(self) -> None:
        """Write what is waiting."""
        if self._rows or self._gone:
            self._catalogue.remember_collected(self._rows, self._gone)
        self._rows, self._gone = [], []
