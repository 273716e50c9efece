"""`indexer.collect.report`: what a run says, whatever hosts put into it."""

from __future__ import annotations

from indexer.collect.report import LISTED, CollectReport, SourceReport


def test_a_terminal_obeys_nothing_that_a_host_sent() -> None:
    """Control characters of addresses and messages are shown as escapes; a report can always be printed."""
    report = SourceReport("a", "s/a")
    report.refuse("http://x.example/\x1b[2J\ud800", "rule", "said \x00 and\n! all is well")
    report.fail("http://x.example/\u202egpj", "why", "\x9b31m")
    report.trouble("http://x.example/", "failed", "why", "\r")
    text = "\n".join(report.to_lines())
    assert all(sign.isprintable() or sign == "\n" for sign in text)
    assert r"  refused: http://x.example/\x1b[2J\ud800: said \x00 and\n! all is well" in text.splitlines()
    text.encode()


def test_the_most_frequent_reason_is_named() -> None:
    """Where a source yielded nothing, what became of most of its pictures is said, duplicates included."""
    report = SourceReport("a", "s/a", pages=1, found=21, duplicate=15)
    for number in range(6):
        report.refuse(f"http://x.example/{number}", "an icon by its size", "an icon by its size")
    assert report.to_lines()[1] == "! a yielded nothing: duplicates of pictures that are kept (15 of 21)"
    report.duplicate, report.found = 5, 11
    assert report.to_lines()[1] == "! a yielded nothing: an icon by its size (6 of 11)"
    report.duplicate, report.found = 0, 6
    assert report.to_lines()[1] == "! a yielded nothing: an icon by its size"


def test_what_yielded_nothing_is_counted() -> None:
    """Sources without a picture are named, some of them where they are many; where there are none nothing is said."""
    empty = [SourceReport(f"source-{number}", "s/a") for number in range(LISTED + 2)]
    full = SourceReport("full", "s/b", pages=1, found=1, kept=1)
    warning = CollectReport("library", (full, *empty), 1, 1.0).to_warning()
    assert warning.startswith(f"! {LISTED + 2} of {LISTED + 3} sources yielded nothing: source-0, source-1, ")
    assert warning.endswith(f"source-{LISTED - 1} and 2 more")
    assert CollectReport("library", (full,), 1, 1.0).to_warning() == ""
