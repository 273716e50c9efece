"""The JSON of an answer, as `POST /api/v1/recommendations` and `sokkuri ask --json` both give it.

Here and not in `web`, since a command gives the same answer; the addresses in it are paths of the HTTP interface.
"""

from __future__ import annotations

from typing import Any

from recommender.types import Character, Prediction, Recommendations, Show, SimilarResults

API = "/api/v1"


def recommendations_to_json(answer: Recommendations) -> dict[str, Any]:
    """Return the whole answer to one picture."""
    return {
        "model": {
            "name": answer.model.name,
            "backbone": answer.model.backbone,
            "engine": answer.model.engine,
            "untrained": answer.model.untrained,
            "notice": answer.model.notice,
        },
        "snapshot": answer.snapshot,
        "labels": {
            "type": [_prediction(prediction) for prediction in answer.types],
            "character": [
                {"label": one.character.label, "name": one.character.name, "probability": one.probability}
                for one in answer.characters
            ],
            "show": [
                {"label": one.show.slug, "title": one.show.title, "probability": one.probability}
                for one in answer.shows
            ],
        },
        "verdict": {
            "level": answer.verdict.level,
            "label": answer.verdict.label,
            "probability": answer.verdict.probability,
        },
        **similar_to_json(answer.similar),
        "timing_ms": {
            step: round(getattr(answer.timing, step), 2)
            for step in ("wait", "decode", "encode", "search", "rank", "total")
        },
    }


def similar_to_json(similar: SimilarResults) -> dict[str, Any]:
    """Return the three lists of what looks like a query."""
    return {
        "similar_pictures": [
            {
                "id": one.id,
                "character": one.character.label,
                "name": one.character.name,
                "show": one.character.show.slug,
                "title": one.character.show.title,
                "similarity": one.similarity,
                "probability": one.probability,
                "thumbnail_url": thumbnail_url(one.id),
                "url": f"{API}/pictures/{one.id}/file",
            }
            for one in similar.pictures
        ],
        "similar_characters": [
            {
                "character": one.character.label,
                "name": one.character.name,
                "show": one.character.show.slug,
                "score": one.score,
                "probability": one.probability,
                "evidence": list(one.evidence),
            }
            for one in similar.characters
        ],
        "similar_shows": [
            {
                "show": one.show.slug,
                "title": one.show.title,
                "score": one.score,
                "probability": one.probability,
                "evidence": list(one.evidence),
            }
            for one in similar.shows
        ],
    }


def show_to_json(show: Show) -> dict[str, Any]:
    """Return a show."""
    return {"show": show.slug, "title": show.title, "year": show.year}


def character_to_json(character: Character) -> dict[str, Any]:
    """Return a character."""
    return {
        "character": character.label,
        "name": character.name,
        "show": character.show.slug,
        "title": character.show.title,
        "type": character.type,
    }


def thumbnail_url(picture: str) -> str:
    """Return the path of a picture's thumbnail."""
    return f"{API}/pictures/{picture}/thumbnail"


def _prediction(prediction: Prediction) -> dict[str, Any]:
    """Return a label and its probability."""
    return {"label": prediction.label, "probability": prediction.probability}
