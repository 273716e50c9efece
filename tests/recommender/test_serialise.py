"""`recommender.serialise`: the JSON has exactly the fields that pages, clients and documents agreed on."""

from __future__ import annotations

import json
from typing import Any

import pytest

from recommender.serialise import character_to_json, recommendations_to_json, show_to_json, similar_to_json
from recommender.types import (
    Character,
    CharacterPrediction,
    ModelInfo,
    PictureId,
    Prediction,
    Recommendations,
    Show,
    ShowPrediction,
    SimilarCharacter,
    SimilarPicture,
    SimilarResults,
    SimilarShow,
    Timing,
    Verdict,
)

SHOW = Show("one-piece", "One Piece そ", 1999)
LUFFY = Character("luffy", "Luffy", SHOW, "male")
PICTURE = PictureId("a" * 64)
SIMILAR = SimilarResults(
    (SimilarPicture(PICTURE, LUFFY, similarity=0.83, probability=0.88),),
    (SimilarCharacter(LUFFY, score=0.8, probability=0.93, evidence=(PICTURE,)),),
    (SimilarShow(SHOW, score=0.7, probability=0.96, evidence=(PICTURE,)),),
)
ANSWER = Recommendations(
    model=ModelInfo("vgg19-1", "vgg19", "torch-float32"),
    snapshot="s1",
    types=(Prediction("male", 0.97),),
    characters=(CharacterPrediction(LUFFY, 0.91),),
    shows=(ShowPrediction(SHOW, 0.95),),
    verdict=Verdict("character", "one-piece/luffy", 0.91),
    similar=SIMILAR,
    timing=Timing(decode=3.123, encode=27.4, search=0.4, rank=1.0, total=31.923),
)


def test_an_answer_has_the_fixed_fields() -> None:
    """Every name and value of interfaces.md is there; model, pictures and characters say a little more than it asks."""
    assert recommendations_to_json(ANSWER) == {
        "model": {
            "name": "vgg19-1",
            "backbone": "vgg19",
            "engine": "torch-float32",
            "untrained": False,
            "notice": "",
        },
        "snapshot": "s1",
        "labels": {
            "type": [{"label": "male", "probability": 0.97}],
            "character": [{"label": "one-piece/luffy", "name": "Luffy", "probability": 0.91}],
            "show": [{"label": "one-piece", "title": "One Piece そ", "probability": 0.95}],
        },
        "verdict": {"level": "character", "label": "one-piece/luffy", "probability": 0.91},
        "similar_pictures": [
            {
                "id": PICTURE,
                "character": "one-piece/luffy",
                "name": "Luffy",
                "show": "one-piece",
                "title": "One Piece そ",
                "similarity": 0.83,
                "probability": 0.88,
                "thumbnail_url": f"/api/v1/pictures/{PICTURE}/thumbnail",
                "url": f"/api/v1/pictures/{PICTURE}/file",
            }
        ],
        "similar_characters": [
            {
                "character": "one-piece/luffy",
                "name": "Luffy",
                "show": "one-piece",
                "score": 0.8,
                "probability": 0.93,
                "evidence": [PICTURE],
            }
        ],
        "similar_shows": [
            {"show": "one-piece", "title": "One Piece そ", "score": 0.7, "probability": 0.96, "evidence": [PICTURE]}
        ],
        "timing_ms": {"wait": 0.0, "decode": 3.12, "encode": 27.4, "search": 0.4, "rank": 1.0, "total": 31.92},
    }


def test_the_order_is_that_of_the_interface() -> None:
    """A person who reads the JSON meets who it is before what it looks like, and the timings last."""
    assert list(recommendations_to_json(ANSWER)) == [
        "model",
        "snapshot",
        "labels",
        "verdict",
        "similar_pictures",
        "similar_characters",
        "similar_shows",
        "timing_ms",
    ]


def test_an_unsure_answer_has_no_label() -> None:
    """At level `unknown` the label is null and not a word."""
    verdict = recommendations_to_json(
        Recommendations(
            ModelInfo("m", "b", "e", untrained=True, notice="This model is untrained."),
            "s1",
            (),
            (),
            (),
            Verdict("unknown", None, 0.4),
            SimilarResults((), (), ()),
            Timing(1, 2, 3, 4, 10),
        )
    )
    assert verdict["verdict"] == {"level": "unknown", "label": None, "probability": 0.4}
    assert verdict["model"]["untrained"] is True
    assert verdict["model"]["notice"] == "This model is untrained."
    assert verdict["labels"] == {"type": [], "character": [], "show": []}


@pytest.mark.parametrize("value", [recommendations_to_json(ANSWER), similar_to_json(SIMILAR), show_to_json(SHOW)])
def test_everything_is_plain_json(value: dict[str, Any]) -> None:
    """Nothing in it needs a special encoder, and it comes back as it was."""
    assert json.loads(json.dumps(value)) == value


def test_shows_and_characters_describe_themselves() -> None:
    """A show without a year and a character without a type say null."""
    assert show_to_json(Show("a", "A")) == {"show": "a", "title": "A", "year": None}
    assert character_to_json(Character("b", "B", Show("a", "A"))) == {
        "character": "a/b",
        "name": "B",
        "show": "a",
        "title": "A",
        "type": None,
    }
