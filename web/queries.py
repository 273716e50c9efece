"""A query string becomes a `Query`, or an error that names the parameter. Not here: what a filter does."""

from __future__ import annotations

from collections.abc import Iterable

from werkzeug.datastructures import MultiDict

from recommender.errors import InvalidQuery
from recommender.service import MAX_LIMIT
from recommender.snapshots import Snapshot
from recommender.types import TYPE_NAMES, Filters, Query

FILTERS = ("limit", "type", "show", "exclude_show", "year_from", "year_to")
REPEATABLE = ("exclude_show",)


def query_of(arguments: MultiDict[str, str], snapshot: Snapshot) -> Query:
    """Read number and filters of the results. Raises InvalidQuery for a value or a name that makes no sense."""
    check_names(arguments, FILTERS)
    return Query(
        limit=number(arguments, "limit", Query().limit, least=1, most=MAX_LIMIT), filters=_filters(arguments, snapshot)
    )


def _filters(arguments: MultiDict[str, str], snapshot: Snapshot) -> Filters:
    kind = arguments.get("type")
    if kind is not None and kind not in TYPE_NAMES:
        raise InvalidQuery(f"type has to be one of {', '.join(TYPE_NAMES)}, not {kind!r}")
    for name in ("show", "exclude_show"):
        for show in arguments.getlist(name):
            if show not in snapshot.roster.show_space.positions:
                raise InvalidQuery(f"{name} names the show {show!r}, which is not known: GET /api/v1/shows lists them")
    years = {name: _year(arguments, name) for name in ("year_from", "year_to")}
    if None not in years.values() and years["year_from"] > years["year_to"]:  # type: ignore[operator]  # neither is None
        raise InvalidQuery(f"year_from ({years['year_from']}) may not be later than year_to ({years['year_to']})")
    return Filters(
        type=kind, show=arguments.get("show"), exclude_shows=tuple(arguments.getlist("exclude_show")), **years
    )


def number(arguments: MultiDict[str, str], name: str, default: int, *, least: int, most: int) -> int:
    """Return a whole number of the query string. Raises InvalidQuery, naming the parameter."""
    text = arguments.get(name)
    if text is None:
        return default
    # Nine digits hold every number that is asked for, and keep `int` from chewing on a megabyte of them.
    if not (text.isascii() and text.isdigit() and len(text) <= 9) or not least <= int(text) <= most:  # noqa: PLR2004
        raise InvalidQuery(f"{name} has to be a whole number from {least} to {most}, not {text[:40]!r}")
    return int(text)


def check_names(arguments: MultiDict[str, str], known: Iterable[str]) -> None:
    """Raise InvalidQuery for a parameter that does not exist or is given twice: it would be ignored without a word."""
    allowed = tuple(known)
    for name, values in arguments.lists():
        if name not in allowed:
            raise InvalidQuery(
                f"there is no parameter {name[:40]!r}: the parameters are {', '.join(allowed) or 'none'}"
            )
        if len(values) > 1 and name not in REPEATABLE:
            raise InvalidQuery(f"{name} may be given only once")


def _year(arguments: MultiDict[str, str], name: str) -> int | None:
    return number(arguments, name, 0, least=0, most=9999) if name in arguments else None
