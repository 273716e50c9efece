"""What the page says in words: a verdict as a sentence, a probability as a percentage."""

from __future__ import annotations

from dataclasses import dataclass

from recommender.types import Recommendations

KINDS = {"male": "a male character", "female": "a female character", "non-human": "a non-human character"}
STAGES = {
    "waiting": "Waiting for another command to let go of the home",
    "opening": "Opening the model",
    "scanning": "Reading pictures",
    "loading": "Loading the model for those that are new",
    "embedding": "Reading pictures, embedding those that are new",
    "comparing": "Comparing with what is published",
    "building": "Building and checking the index",
    "publishing": "Publishing",
}
"""The stages of a job, by the names that its report gives their seconds by."""
UNTRAINED = "This model is untrained: its names are guesses. Train one with `sokkuri train LIBRARY`."
_NARROW_SPACE = "\N{NARROW NO-BREAK SPACE}"
_ALMOST = 0.995
_HARDLY = 0.005


@dataclass(frozen=True, slots=True)
class Wording:
    """A verdict in words: the name in large letters, what follows it, and one sentence on how sure the model is."""

    name: str
    rest: str
    sentence: str
    sure: bool


def percent(probability: float) -> str:
    """Return a probability as a percentage, which claims neither certainty nor impossibility: "> 99 %", "< 1 %"."""
    if _ALMOST <= probability < 1:
        return f">{_NARROW_SPACE}99{_NARROW_SPACE}%"
    if 0 < probability < _HARDLY:
        return f"<{_NARROW_SPACE}1{_NARROW_SPACE}%"
    return f"{probability:.0%}".replace("%", f"{_NARROW_SPACE}%")


def sentence(text: str) -> str:
    """Return an error's message, which starts small and ends open, as a sentence of a page."""
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")


def stage_in_words(stage: str) -> str:
    """Say what a job is about."""
    return STAGES.get(stage, stage.capitalize())


def duration(seconds: float) -> str:
    """Return so many seconds in the two largest units that say something: "8 s", "3 min 20 s", "2 h 5 min"."""
    minutes, left = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    parts = [(hours, "h"), (minutes, "min"), (left, "s")]
    said = [f"{number}{_NARROW_SPACE}{unit}" for number, unit in parts if number] or [f"0{_NARROW_SPACE}s"]
    return " ".join(said[:2])


def moment(at: str) -> str:
    """Return a moment, in UTC and ISO 8601, as a page shows it."""
    return at.replace("T", " ").removesuffix("Z") + " UTC"


def word(answer: Recommendations) -> Wording:
    """Put the verdict of an answer into words."""
    verdict = answer.verdict
    sure = f"The model is {percent(verdict.probability)} sure."
    if verdict.level == "character":
        best = next(one.character for one in answer.characters if one.character.label == verdict.label)
        return Wording(best.name, f"from {best.show.title}", sure, sure=True)
    if verdict.level == "show":
        show = next(one.show for one in answer.shows if one.show.slug == verdict.label)
        return Wording(
            show.title, "by the look of it", f"{sure} Which character it is remains open{_guess(answer)}", sure=True
        )
    if verdict.level == "type":
        kind = KINDS.get(verdict.label or "", "a character")
        return Wording(
            kind.capitalize(), "", f"{sure} Who it is and from where remains open{_guess(answer)}", sure=True
        )
    return Wording("Not sure", "", f"Nobody whom this model knows fits well enough{_nearest(answer)}", sure=False)


def _nearest(answer: Recommendations) -> str:
    """End a sentence with who fits least badly; how probable that would be, were it somebody known, would mislead."""
    if not answer.characters:
        return "."
    best = answer.characters[0].character
    return f". The likeliest of those that it knows would be {best.name} from {best.show.title}."


def _guess(answer: Recommendations) -> str:
    """End a sentence with the best guess, if there is one."""
    if not answer.characters:
        return "."
    best = answer.characters[0]
    return f". Its best guess is {best.character.name} from {best.character.show.title}, {percent(best.probability)}."
