"""`indexer.training.heads`: the heads that are trained are the heads that answer, and they learn."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch

from indexer.samples import Part
from indexer.training.heads import Epoch, HeadModule, HeadOptions, train_heads
from recommender.heads import SPACES, Heads
from recommender.labels import Hierarchy
from recommender.types import Character, Show

ONE_PIECE, NEW_GAME = Show("one-piece", "One Piece"), Show("new-game", "New Game!")
CAST = Hierarchy.of(
    [
        Character("luffy", "Luffy", ONE_PIECE, "male"),
        Character("robin", "Robin", ONE_PIECE, "female"),
        Character("chopper", "Chopper", ONE_PIECE, "non-human"),
        Character("aoba", "Aoba", NEW_GAME, "female"),
        Character("nobody", "Nobody", NEW_GAME, None),
    ]
)
NO_WOMEN = Hierarchy.of(
    [Character("luffy", "Luffy", ONE_PIECE, "male"), Character("chopper", "Chopper", ONE_PIECE, "non-human")]
)
UNTYPED = Hierarchy.of([Character("a", "A", ONE_PIECE), Character("b", "B", NEW_GAME)])
DIMENSION = 12
DEFAULT = HeadOptions()


def _toy(hierarchy: Hierarchy, each: int, seed: int, noise: float = 0.3) -> Part:
    """Return pictures of each character around a centre of its own, far from the origin and in unequal units."""
    centres = np.random.default_rng(99).standard_normal((len(hierarchy.characters), DIMENSION))
    characters = np.repeat(np.arange(len(hierarchy.characters)), each)
    spread = np.random.default_rng(seed).standard_normal((len(characters), DIMENSION))
    units = np.geomspace(0.01, 10, DIMENSION)
    return Part(((centres[characters] + noise * spread + 5) * units).astype(np.float32), characters)


def _train(
    hierarchy: Hierarchy, training: Part, validation: Part | None, options: HeadOptions = DEFAULT
) -> tuple[Heads, list[Epoch]]:
    told: list[Epoch] = []
    return train_heads(hierarchy, training, validation, options, told.append), told


@pytest.mark.parametrize("hierarchy", [CAST, NO_WOMEN, UNTYPED])
def test_torch_and_numpy_compute_the_same(hierarchy: Hierarchy) -> None:
    """The module that is trained and the heads that answer give one probability, with random weights of any size."""
    torch.manual_seed(1)
    module = HeadModule(hierarchy, DIMENSION)
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter)
    state = module.state_dict()
    tensors = {
        f"{space}.{what}": state[f"layers.{space}_head.{what}"] for space in SPACES for what in ("weight", "bias")
    }
    heads = Heads.from_tensors(hierarchy, {name: tensor.numpy() for name, tensor in tensors.items()}, 1.0)
    embeddings = torch.randn(20, DIMENSION)
    with torch.no_grad():
        expected = module(embeddings).exp().numpy()
    found = heads.probabilities(embeddings.numpy())
    assert np.allclose(found.character, expected, atol=1e-5)
    assert np.allclose(found.character.sum(axis=1), 1)


@pytest.mark.parametrize("hierarchy", [CAST, NO_WOMEN, UNTYPED])
def test_the_loss_is_that_of_the_heads_that_answer(hierarchy: Hierarchy) -> None:
    """After the standardisation is folded into the weights, the trained heads have the loss that training ended with.

    The loss is the cross-entropy of the three label spaces, of the type only where there is one; classes are even here.
    """
    training, validation = _toy(hierarchy, 20, seed=0), _toy(hierarchy, 10, seed=1)
    heads, told = _train(hierarchy, training, validation, HeadOptions(epochs=5, patience=5))
    found = heads.probabilities(validation.embeddings)
    rows = np.arange(len(validation.characters))
    loss = -np.log(found.character[rows, validation.characters])
    loss -= np.log(found.show[rows, hierarchy.show_of[validation.characters]])
    types = hierarchy.type_of[validation.characters]
    typed = types >= 0
    loss[typed] -= np.log(found.type[rows[typed], types[typed]])
    assert loss.mean() == pytest.approx(min(epoch.validation_loss for epoch in told), abs=1e-4)
    right = (found.character.argmax(axis=1) == validation.characters).mean()
    assert right == pytest.approx(min(told, key=lambda epoch: epoch.validation_loss).validation_accuracy)


@pytest.mark.parametrize("hierarchy", [CAST, NO_WOMEN, UNTYPED])
def test_a_separable_problem_is_learnt(hierarchy: Hierarchy) -> None:
    """Characters that lie apart are told apart on pictures never seen, and so are their shows and types."""
    heads, _ = _train(hierarchy, _toy(hierarchy, 30, seed=0), _toy(hierarchy, 10, seed=1))
    unseen = _toy(hierarchy, 20, seed=2)
    found = heads.probabilities(unseen.embeddings)
    assert (found.character.argmax(axis=1) == unseen.characters).mean() > 0.97
    assert (found.show.argmax(axis=1) == hierarchy.show_of[unseen.characters]).mean() > 0.97
    types = hierarchy.type_of[unseen.characters]
    typed = types >= 0
    assert np.count_nonzero(found.type.argmax(axis=1)[typed] != types[typed]) <= 0.03 * len(types)


def test_a_type_without_any_character_has_no_probability() -> None:
    """Where nobody is female, nobody is taken for one."""
    heads, _ = _train(NO_WOMEN, _toy(NO_WOMEN, 20, seed=0), _toy(NO_WOMEN, 5, seed=1))
    found = heads.probabilities(_toy(NO_WOMEN, 5, seed=2).embeddings)
    assert (found.type[:, 1] == 0).all()
    assert np.allclose(found.type.sum(axis=1), 1)


def test_the_same_seed_gives_the_same_weights() -> None:
    """Training is repeatable bit for bit, whatever the state of torch's own generator; another seed differs."""
    training, validation = _toy(CAST, 20, seed=0), _toy(CAST, 5, seed=1)
    runs = []
    for seed in (3, 3, 4):
        torch.rand(5)
        runs.append(_train(CAST, training, validation, HeadOptions(epochs=8, batch=16, seed=seed))[0].to_tensors())
    assert all(np.array_equal(runs[0][name], runs[1][name]) for name in runs[0])
    assert not all(np.array_equal(runs[0][name], runs[2][name]) for name in runs[0])


def test_training_leaves_torch_as_it_was() -> None:
    """Neither torch's generator nor its number of threads is another one afterwards."""
    torch.manual_seed(5)
    expected, threads = torch.rand(1), torch.get_num_threads()
    torch.manual_seed(5)
    _train(CAST, _toy(CAST, 5, seed=0), None, HeadOptions(epochs=1))
    assert torch.equal(torch.rand(1), expected)
    assert torch.get_num_threads() == threads


def test_training_stops_when_validation_gets_no_better() -> None:
    """With labels that mean nothing the training ends early, and the heads are those of the best epoch."""
    training, validation = _toy(CAST, 20, seed=0), _toy(CAST, 10, seed=1)
    shuffled = Part(validation.embeddings, np.random.default_rng(0).permutation(validation.characters))
    options = HeadOptions(epochs=60, patience=4)
    _, told = _train(CAST, training, shuffled, options)
    best = min(told, key=lambda epoch: epoch.validation_loss).number
    assert len(told) == best + options.patience < options.epochs
    assert [epoch.number for epoch in told] == list(range(1, len(told) + 1))


@pytest.mark.parametrize("validation", [None, Part(np.empty((0, DIMENSION), np.float32), np.empty(0, np.int64))])
def test_without_validation_pictures_all_epochs_are_run(validation: Part | None) -> None:
    """Nothing to stop by: every epoch counts, its loss is that of training, and the last one is kept."""
    heads, told = _train(CAST, _toy(CAST, 20, seed=0), validation, HeadOptions(epochs=12, patience=2))
    assert len(told) == 12
    assert all(epoch.validation_accuracy is None for epoch in told)
    assert told[-1].training_loss < told[0].training_loss
    unseen = _toy(CAST, 10, seed=2)
    assert (heads.probabilities(unseen.embeddings).character.argmax(axis=1) == unseen.characters).mean() > 0.9


def test_a_rare_character_counts_as_much_as_a_frequent_one() -> None:
    """With 3 pictures against 300 that overlap, the rare one is still found: classes are balanced."""
    rng = np.random.default_rng(0)

    def draw(counts: Sequence[int]) -> Part:
        characters = np.repeat([0, 1], counts)
        centres = np.where(characters == 0, -0.7, 0.7)[:, np.newaxis]
        return Part((rng.standard_normal((len(characters), 4)) + centres).astype(np.float32), characters)

    heads, _ = _train(NO_WOMEN, draw([300, 3]), None)
    unseen = draw([200, 200])
    guesses = heads.probabilities(unseen.embeddings).character.argmax(axis=1)
    assert 0.3 < guesses.mean() < 0.7


def test_numbers_that_never_change_do_no_harm() -> None:
    """Constant columns, columns that are all zero, and a training part of one picture give finite probabilities."""
    training = _toy(CAST, 6, seed=0)
    training.embeddings[:, 0], training.embeddings[:, 1] = 0, 7
    unseen = _toy(CAST, 4, seed=1)
    unseen.embeddings[:, 0], unseen.embeddings[:, 1] = 1000, -1000
    heads, _ = _train(CAST, training, None, HeadOptions(epochs=20))
    found = heads.probabilities(unseen.embeddings).character
    assert np.isfinite(found).all()
    assert (found.argmax(axis=1) == unseen.characters).mean() > 0.9
    single = Part(training.embeddings[:1], training.characters[:1])
    heads, _ = _train(CAST, single, None, HeadOptions(epochs=2))
    assert np.isfinite(heads.probabilities(unseen.embeddings).character).all()
