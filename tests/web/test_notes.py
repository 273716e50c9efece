"""What strangers do fills no disk: a few lines a minute, and the number of the others."""

from __future__ import annotations

import pytest

from web import notes
from web.notes import LONGEST_NOTE, MOST_NOTES, Notes


def test_the_first_are_told_and_the_others_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """So many lines are written, however many come; once the minute is over, how many more there were."""
    now = 100.0
    monkeypatch.setattr(notes, "monotonic", lambda: now)
    lines: list[str] = []
    told = Notes(lines.append)
    told.look()
    for number in range(1500):
        told.add(f"line {number} " + "x" * 1000)
    assert [line.split()[1] for line in lines] == [str(number) for number in range(MOST_NOTES)]
    assert max(map(len, lines)) == LONGEST_NOTE
    now += 61
    told.look()
    told.look()
    assert lines[MOST_NOTES:] == ["1,490 more like that within 60 s"]
    told.add("another")
    now += 61
    told.add("and another")
    assert lines[MOST_NOTES + 1 :] == ["another", "and another"]
