"""Adapters of the NeighbourIndex port, one file a kind, and how they are opened. Importing this loads no engine."""

from __future__ import annotations

import json
from pathlib import Path

from recommender.errors import Corrupt
from recommender.folders import shown
from recommender.ports import NeighbourIndex

EXACT, IVF = "exact", "ivf"


FILES = ("index.json", "index.faiss", "centre.npy", "vectors.npy")
"""All files that an index may consist of, whatever its kind."""
MAPPED = ("vectors.npy",)
"""Those of which only what is compared is read."""


def kind_of(folder: Path) -> str:
    """Return which kind of index lies in a folder. Raises Corrupt.

    Snapshots that were written before there were kinds have no report, and an exact index.
    """
    report = folder / "index.json"
    if not report.exists():
        return EXACT
    try:
        return str(json.loads(report.read_text(encoding="utf-8"))["kind"])
    except (OSError, ValueError, KeyError, TypeError):
        raise Corrupt(f"{shown(report)} cannot be read: run `sokkuri reindex LIBRARY`") from None


def open_index(folder: Path) -> NeighbourIndex:
    """Open the index of a snapshot's folder, whatever its kind. Raises Corrupt."""
    kind = kind_of(folder)
    if kind == EXACT:
        from recommender.indexes.faiss_index import FaissIndex

        return FaissIndex.open(folder / "index.faiss")
    if kind == IVF:
        from recommender.indexes.ivf_index import IvfIndex

        return IvfIndex.open(folder)
    report = shown(folder / "index.json")
    raise Corrupt(f"{report} names an index of the kind {kind!r}, which this Sokkuri does not know: update it")
