"""`indexer.collect.journal` and `answers`: what a run leaves for the next one, whatever stopped it."""

from __future__ import annotations

from pathlib import Path

import pytest

from indexer.collect.answers import Answer, AnswerShelf
from indexer.collect.journal import FOLDER, Filed, Journal, Known, digest_of
from recommender.errors import BuildError
from tests.indexer.disks import full_disk

A, B = "https://a.example/1.jpg", "https://a.example/2.jpg"


def _filed(picture: str, address: str) -> Filed:
    return Filed(picture, f"show/hero/{picture}.jpg", address, 96, 96, 2**63, "00" * 192)


def test_a_new_run_knows_what_the_last_one_did(tmp_path: Path) -> None:
    """Every fate of an address is read back as it was written, the number of failed runs included."""
    journal = Journal(tmp_path)
    for _ in range(2):
        journal.asked(A)
        journal.failed(A, "404", "the host answers 404")
    journal.asked(B)
    journal.kept(_filed("p", B))
    journal.moved("https://a.example/old.jpg", B)
    journal.note_robots("https://a.example", 200, "User-agent: *", "2026-01-01T00:00:00+00:00")
    journal.close()
    again = Journal(tmp_path)
    known = again.known(A)
    assert known
    assert (known.fate, known.reason, known.fails) == ("failed", "404", 2)
    assert again.picture("p") == _filed("p", B)
    assert (again.known("https://a.example/old.jpg") or known).moved == B
    assert (again.robots("https://a.example") or {})["text"] == "User-agent: *"
    assert again.known("https://a.example/3.jpg") is None
    again.close()


def test_an_answer_that_never_came(tmp_path: Path) -> None:
    """What was asked for and not settled is known as asked; a trouble that passed is forgotten, its history is not."""
    journal = Journal(tmp_path)
    journal.asked(A)
    assert (journal.known(A) or pytest.fail("unknown")).fate == "asked"
    journal.troubled(A)
    assert journal.known(A) is None
    journal.failed(A, "500", "what")
    journal.asked(A)
    journal.troubled(A)
    assert journal.known(A) == Known("failed", "500", "what", fails=1)
    journal.close()


def test_a_larger_picture_takes_the_place(tmp_path: Path) -> None:
    """A picture that was replaced leads to the one that replaced it, and that one's successor."""
    journal = Journal(tmp_path)
    journal.kept(_filed("small", A))
    journal.kept(_filed("large", B), replaces="small")
    journal.kept(_filed("huge", B), replaces="large")
    assert [one.picture for one in journal.filed()] == ["huge"]
    assert journal.picture("small") == journal.picture("huge")
    assert journal.replaced() == {"small", "large"}
    journal.close()


def test_a_torn_line_costs_only_itself(tmp_path: Path) -> None:
    """A last line without its end, and a damaged one, are left out; what is written afterwards counts."""
    journal = Journal(tmp_path)
    journal.asked(A)
    journal.close()
    file = tmp_path / FOLDER / "journal.jsonl"
    damaged = b'garbage\n{"event":"kept"}\n{"event":"robots","host":[]}\n{"event":"asked","addr'
    file.write_bytes(file.read_bytes() + damaged)
    again = Journal(tmp_path)
    again.asked(B)
    again.close()
    third = Journal(tmp_path)
    assert [third.known(address) for address in (A, B)] == [Known("asked"), Known("asked")]
    third.close()


def test_a_full_disk_leaves_whole_lines(tmp_path: Path) -> None:
    """Where no line fits any more, one sentence says so, and the journal is as it was."""
    journal = Journal(tmp_path)
    journal.asked(A)
    file = tmp_path / FOLDER / "journal.jsonl"
    with full_disk(file.stat().st_size + 5), pytest.raises(BuildError, match="make room"):
        journal.asked(B)
    assert file.read_bytes().endswith(b"\n")
    assert journal.known(B) is None
    journal.close()


def test_forgetting_keeps_only_hashes(tmp_path: Path) -> None:
    """No address of a forgotten picture stays readable; a near-duplicate may be had again, an exact one may not."""
    journal = Journal(tmp_path)
    journal.asked(A)
    journal.kept(_filed("p", A))
    journal.same("https://b.example/copy.jpg", "p", "the same file")
    journal.asked("https://b.example/near.jpg")
    journal.same("https://b.example/near.jpg", "p", "nearly the same picture")
    journal.asked(B)
    journal.refused(B, "too small", "what")
    gone = journal.forget({"p"}, lambda _: False)
    journal.close()
    assert gone == [A, "https://b.example/copy.jpg"]
    text = (tmp_path / FOLDER / "journal.jsonl").read_text()
    assert "copy.jpg" not in text
    assert A not in text
    assert digest_of(A) in text
    again = Journal(tmp_path)
    assert again.is_forgotten(A)
    assert not again.is_forgotten("https://b.example/near.jpg")
    assert again.known("https://b.example/near.jpg") is None
    assert again.known(B)
    assert again.filed() == []
    again.close()


def test_answers_come_back_as_they_were(tmp_path: Path) -> None:
    """An answer is kept with its head, its bytes may be anything, and a half-written one does not count."""
    shelf = AnswerShelf(tmp_path)
    answer = Answer(A, 200, "2026-01-01T00:00:00Z", b"\n{\0", {"Content-Type": 'text/html; charset="utf-8"'})
    assert shelf.get(A) is None
    shelf.put(answer)
    assert shelf.get(A) == answer
    assert (answer.kind, answer.charset) == ("text/html", "utf-8")
    with full_disk(10), pytest.raises(OSError, match="large"):
        shelf.put(Answer(B, 200, "", bytes(100)))
    assert shelf.get(B) is None
    assert len(list(tmp_path.iterdir())) == 1
    shelf.drop(A)
    assert A not in shelf
