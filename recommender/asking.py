"""The command `ask`: the answer of the page and the API, at the terminal."""

from __future__ import annotations

import json
from pathlib import Path

import click

from recommender.cli import home_option, json_option, settings_of
from recommender.errors import InvalidImage
from recommender.publication import Publication
from recommender.serialise import recommendations_to_json
from recommender.service import MAX_LIMIT
from recommender.types import Character, Query, Recommendations, Verdict

BAR = 20
"""Characters of a full bar."""


@click.command(
    epilog="\b\nExamples:\n  sokkuri ask picture.jpg\n  sokkuri ask *.png --limit 3\n"
    "  sokkuri ask picture.jpg --json | jq .verdict"
)
@click.argument("pictures", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="PICTURE...")
@click.option("--limit", default=5, show_default=True, type=click.IntRange(1, MAX_LIMIT), help="Results of each kind.")
@json_option
@home_option
def ask(pictures: tuple[Path, ...], limit: int, home: Path | None, *, as_json: bool) -> None:
    """Ask who is on each PICTURE, who looks like it, and which shows are drawn like it.

    With --json each picture's answer is one line, as `POST /api/v1/recommendations` gives it. A picture that cannot be
    read is said on stderr; the others are answered all the same, and the exit code is 1.
    """
    publication = Publication(settings_of(home))
    failed = False
    try:
        publication.refresh()
        recommender = publication.current()
        for picture in pictures:
            try:
                answer = recommender.recommend(picture.read_bytes(), Query(limit))
            except InvalidImage as error:
                click.echo(f"sokkuri: {picture}: {error}", err=True)
                failed = True
            except OSError as error:
                click.echo(f"sokkuri: {picture}: {error.strerror}", err=True)
                failed = True
            else:
                click.echo(_line(answer) if as_json else _text(picture, answer))
    finally:
        publication.close()
    if failed:
        raise SystemExit(1)


def _line(answer: Recommendations) -> str:
    """Return the answer for programs, in one line."""
    return json.dumps(recommendations_to_json(answer), ensure_ascii=False)


def _text(picture: Path, answer: Recommendations) -> str:
    """Return the answer for people."""
    lines = [f"{picture}: {_verdict(answer.verdict, answer)}"]
    if answer.model.notice:
        lines.append(f"  ! {answer.model.notice}")
    sections = (
        ("type", [(one.label, one.probability) for one in answer.types]),
        (
            "character",
            [(f"{one.character.name} ({one.character.show.title})", one.probability) for one in answer.characters],
        ),
        ("show", [(one.show.title, one.probability) for one in answer.shows]),
        (
            "looks like",
            [(_named(one.character), one.score) for one in answer.similar.characters],
        ),
        ("drawn like", [(one.show.title, one.score) for one in answer.similar.shows]),
    )
    for title, rows in sections:
        lines += [
            f"  {title if number == 0 else '':<11} {_bar(value)} {value:5.2f}  {name}"
            for number, (name, value) in enumerate(rows)
        ]
    timing = answer.timing
    lines.append(
        f"  {timing.total:.0f} ms: decode {timing.decode:.1f}, encode {timing.encode:.1f}, search {timing.search:.1f}, "
        f"rank {timing.rank:.1f} · {answer.model.name} ({answer.model.engine})"
    )
    return "\n".join(lines)


def _named(character: Character) -> str:
    """Return a character's name and show."""
    return f"{character.name} ({character.show.title})"


def _verdict(verdict: Verdict, answer: Recommendations) -> str:
    """Return the verdict in words."""
    sure = f"{verdict.probability:.0%}"
    if verdict.level == "character":
        best = answer.characters[0].character
        return f"{best.name} from {best.show.title} ({sure})"
    if verdict.level == "show":
        return f"somebody from {answer.shows[0].show.title} ({sure}); which one is not certain"
    if verdict.level == "type":
        return f"a {verdict.label} character ({sure}); who it is, is not certain"
    return "nobody that the model is sure of"


def _bar(value: float) -> str:
    """Return a bar for a number in 0..1."""
    filled = round(BAR * min(max(value, 0.0), 1.0))
    return "█" * filled + "·" * (BAR - filled)
