"""Rows of tables: read and written in chunks, and a table made to hold those that are wanted, writing what differs.

Not here: which rows those are (`catalogue`), and what their columns mean (`tables`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Self

from sqlalchemy import Column, ColumnElement, Executable, Select, Table, bindparam, delete, insert, select, update
from sqlalchemy.engine import Connection

from recommender.errors import BadLibrary
from recommender.tables import Base

CHUNK = 10_000
"""How many rows go to or come from the database at once, so that no second copy of a large library is held."""

Row = tuple[Any, ...]
"""One row as the database holds it, its values in the order of the table's columns."""


@dataclass(frozen=True, slots=True)
class WantedRows:
    """The rows that a table is to hold, by their key, which is their first value.

    Where one table holds the rows of several owners, `shared` are the columns, the table's first ones, that say whose
    rows these are, with their values; the rows lack them, and those of other owners do not matter.
    """

    table: Table
    rows: Mapping[str, Row]
    shared: Mapping[str, Any]

    @classmethod
    def of(
        cls, name: str, values: Iterable[Any], row_of: Callable[[Any], Row], shared: Mapping[str, Any] | None = None
    ) -> Self:
        """Return the wanted rows of the table called `name`. Raises BadLibrary for a repeated key."""
        rows: dict[str, Row] = {}
        for row in map(row_of, values):
            if row[0] in rows:
                raise BadLibrary(f"{row[0]!r} appears twice among the {name} of the library")
            rows[row[0]] = row
        return cls(Base.metadata.tables[name], rows, shared or {})

    def write_changes(self, connection: Connection) -> list[str]:
        """Insert and update the rows that the table lacks; return the keys of those that it has too many."""
        columns = self._columns()
        lacking, changed, gone = dict(self.rows), [], []
        for stored in each(connection, select(*columns).where(*self._owned())):
            row = lacking.pop(stored[0], None)
            if row is None:
                gone.append(stored[0])
            elif row != tuple(stored):
                changed.append(row)
        names = [column.name for column in columns]
        fresh = ({**self.shared, **dict(zip(names, row, strict=True))} for row in lacking.values())
        execute_each(connection, insert(self.table), fresh)
        statement = update(self.table).where(columns[0] == bindparam("key"), *self._owned())
        renewed = ({"key": row[0], **dict(zip(names[1:], row[1:], strict=True))} for row in changed)
        execute_each(connection, statement, renewed)
        return gone

    def delete(self, connection: Connection, keys: Iterable[str]) -> None:
        """Delete the rows with these keys."""
        statement = delete(self.table).where(self._columns()[0] == bindparam("key"), *self._owned())
        execute_each(connection, statement, ({"key": key} for key in keys))

    def _columns(self) -> list[Column[Any]]:
        return list(self.table.columns)[len(self.shared) :]

    def _owned(self) -> list[ColumnElement[bool]]:
        return [self.table.columns[name] == value for name, value in self.shared.items()]


def each(connection: Connection, query: Select[Any]) -> Iterator[Sequence[Any]]:
    """Yield the rows that a query finds, fetched a chunk at a time."""
    for chunk in connection.execute(query).partitions(CHUNK):
        yield from chunk


def execute_each(connection: Connection, statement: Executable, parameters: Iterable[dict[str, Any]]) -> None:
    """Execute a statement once for each set of parameters, a chunk of them at a time."""
    waiting = iter(parameters)
    while chunk := list(islice(waiting, CHUNK)):
        connection.execute(statement, chunk)
