"""Ten million vectors, where they are not built: what the sizes that were measured let one expect.

Each figure is the straight line, in logarithms, through the two largest inverted files of the same vectors; from one
alone, as the assumption says that it grows. Recall needs none: every build tunes how far a search looks until it
reaches its target. Not here: what is measured (`index`).
"""

from __future__ import annotations

from collections.abc import Mapping
from math import log
from typing import Any

ASSUMED = {"p50_ms": 0.5, "build_s": 1.0}
"""The power of the number of vectors that a figure grows with, where one size alone tells: a search looks through the
centres of the lists and through some lists, both as long as the square root; building stores and codes each vector."""
MOST = {"p50_ms": 1.0, "build_s": 1.5}
"""No figure grows by a higher power: every vector is looked at, or compared with every list, at most."""
LISTS = 2
"""Lists are so many times the square root of the number of vectors (`recommender.indexes.building`)."""
CENTRE_BYTES = 4
SPARE = 16
"""Places that a list has to spare on average, since codes stand in blocks of 32."""


def extrapolate(measured: Mapping[int, Mapping[str, Any]], size: int, dimension: int) -> dict[str, Any]:
    """Return the figures to be expected of `size` vectors, given those of smaller inverted files by their sizes.

    Nothing is returned where there is none to go by.
    """
    sizes = sorted(measured)[-2:]
    if not sizes:
        return {}
    largest = sizes[-1]
    found = {name: _grown(measured, sizes, size, name) for name in ASSUMED}
    # What a vector has of the lists' centres, and of the places they spare, shrinks with the root of the number.
    code = (measured[largest]["bytes_per_vector"] - _per_vector(largest, dimension)) / (1 + _spare(largest))
    held = code * (1 + _spare(size)) + _per_vector(size, dimension)
    return {
        "extrapolated_from": sizes,
        **found,
        "bytes_per_vector": held,
        "mapped_bytes_per_vector": measured[largest]["mapped_bytes_per_vector"],
    }


def line(name: str, size: int, found: Mapping[str, Any]) -> str:
    """Return what is printed of it."""
    given = " and ".join(f"{one:,}" for one in found["extrapolated_from"])
    return (
        f"{name} {size:,}: extrapolated from {given}, not measured: p50 {found['p50_ms']:.2f} ms, "
        f"{found['bytes_per_vector']:.1f} bytes a vector in memory ({found['bytes_per_vector'] * size / 1e9:.2f} GB), "
        f"{found['mapped_bytes_per_vector'] * size / 1e9:.1f} GB mapped, build {found['build_s']:,.0f} s"
    )


def _grown(measured: Mapping[int, Mapping[str, Any]], sizes: list[int], size: int, name: str) -> float:
    power, last = ASSUMED[name], float(measured[sizes[-1]][name])
    if len(sizes) > 1:
        power = log(last / float(measured[sizes[0]][name])) / log(sizes[-1] / sizes[0])
    return float(last * (size / sizes[-1]) ** min(max(power, 0.0), MOST[name]))


def _per_vector(size: int, dimension: int) -> float:
    """Return the bytes of the lists' centres that fall to one vector."""
    return float(CENTRE_BYTES * dimension * LISTS / size**0.5)


def _spare(size: int) -> float:
    """Return the share of places in lists that hold no vector."""
    return float(SPARE * LISTS / size**0.5)
