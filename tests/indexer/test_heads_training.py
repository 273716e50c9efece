"""`indexer.training.heads`: the heads that are trained are the heads that answer, and they learn."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from indexer.samples import BLOCK, Part
from indexer.training.checkpoint import Checkpoint
from indexer.training.heads import Epoch, HeadModule, HeadOptions, train_heads
from indexer.training.train import RECIPES
from recommender.errors import BuildError
from recommender.heads import SPACES, Heads
from recommender.labels import Hierarchy
from recommender.types import Character, Matrix, Show

pytestmark = pytest.mark.slow

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
    return Part.of(((centres[characters] + noise * spread + 5) * units).astype(np.float32), characters)


def _train(
    hierarchy: Hierarchy, training: Part, validation: Part | None, options: HeadOptions = DEFAULT
) -> tuple[Heads, list[Epoch]]:
    told: list[Epoch] = []
    trained = train_heads(hierarchy, training, validation, options, told.append)
    assert trained.history == tuple(told)
    return trained.heads, told


def _require_equal(one: Heads, other: Heads) -> None:
    """Require that two heads have the same numbers, bit for bit."""
    tensors = other.to_tensors()
    for name, tensor in one.to_tensors().items():
        assert np.array_equal(tensor, tensors[name]), name


def _best(epochs: Sequence[Epoch]) -> Epoch:
    """Return the epoch with the lowest validation loss."""
    return min(epochs, key=lambda epoch: float("inf") if epoch.validation_loss is None else epoch.validation_loss)


@pytest.mark.parametrize("joint", [True, False])
@pytest.mark.parametrize("hierarchy", [CAST, NO_WOMEN, UNTYPED])
def test_torch_and_numpy_compute_the_same(hierarchy: Hierarchy, *, joint: bool) -> None:
    """The module that is trained and the heads that answer give one probability, with random weights of any size."""
    torch.manual_seed(1)
    module = HeadModule(hierarchy, DIMENSION, joint=joint)
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter)
    state = module.state_dict()
    tensors = {
        f"{space}.{what}": state[f"layers.{space}_head.{what}"] for space in SPACES for what in ("weight", "bias")
    }
    heads = Heads.from_tensors(hierarchy, {name: tensor.numpy() for name, tensor in tensors.items()})
    embeddings = torch.randn(20, DIMENSION)
    with torch.no_grad():
        expected = module(embeddings)
    found = replace(heads, joint=joint).probabilities(embeddings.numpy())
    assert set(expected) == ({"character"} if joint else set(SPACES))
    for space, logs in expected.items():
        assert np.allclose(getattr(found, space), logs.exp().numpy(), atol=1e-5)
        assert np.allclose(getattr(found, space).sum(axis=1), 1)


@pytest.mark.parametrize("joint", [True, False])
@pytest.mark.parametrize("hierarchy", [CAST, NO_WOMEN, UNTYPED])
def test_the_loss_is_that_of_the_heads_that_answer(hierarchy: Hierarchy, *, joint: bool) -> None:
    """After the standardisation is folded into the weights, the trained heads have the loss that training ended with.

    The loss is the cross-entropy of the three label spaces, of the type only where there is one; classes are even here.
    """
    training, validation = _toy(hierarchy, 20, seed=0), _toy(hierarchy, 10, seed=1)
    heads, told = _train(hierarchy, training, validation, HeadOptions(epochs=5, patience=5, joint=joint))
    found = heads.probabilities(validation.embeddings())
    rows = np.arange(len(validation))
    loss = -np.log(found.character[rows, validation.characters])
    loss -= np.log(found.show[rows, hierarchy.show_of[validation.characters]])
    types = hierarchy.type_of[validation.characters]
    typed = types >= 0
    loss[typed] -= np.log(found.type[rows[typed], types[typed]])
    assert loss.mean() == pytest.approx(_best(told).validation_loss, abs=1e-4)
    right = (found.character.argmax(axis=1) == validation.characters).mean()
    assert right == pytest.approx(_best(told).validation_accuracy)


def _by_hand(hierarchy: Hierarchy, part: Part, options: HeadOptions) -> dict[str, nn.Linear]:
    """Train three models that have nothing in common but the pictures, their order, and the seed of their weights."""
    torch.manual_seed(options.seed)
    vectors, characters = torch.from_numpy(part.embeddings()), torch.from_numpy(part.characters)
    labels = {
        "type": torch.from_numpy(hierarchy.type_of)[characters],
        "character": characters,
        "show": torch.from_numpy(hierarchy.show_of)[characters],
    }
    layers = {
        space: nn.Linear(part.dimension, len(names)) for space, names in zip(SPACES, hierarchy.spaces, strict=True)
    }
    for space, layer in layers.items():
        optimiser = torch.optim.SGD(
            layer.parameters(), lr=1.0, momentum=options.momentum, weight_decay=options.weight_decay
        )
        for epoch in range(options.epochs):
            falling = (1 + math.cos(math.pi * epoch / options.epochs)) / 2 if options.cosine else 1.0
            optimiser.param_groups[0]["lr"] = options.learning_rate * falling
            order = torch.randperm(
                len(part), generator=torch.Generator().manual_seed(1_000_003 * options.seed + epoch + 1)
            )
            for batch in torch.split(order, options.batch):
                optimiser.zero_grad()
                scores = layer(vectors[batch])
                loss = nn.functional.cross_entropy(scores, labels[space][batch], ignore_index=-1, reduction="sum")
                (loss / len(batch)).backward()  # type: ignore[no-untyped-call]  # torch leaves it unannotated
                optimiser.step()
    return layers


@pytest.mark.parametrize("hierarchy", [CAST, NO_WOMEN])
@pytest.mark.parametrize(
    "options",
    [
        RECIPES["seed"],
        replace(RECIPES["seed"], seed=4, epochs=8, batch=5, learning_rate=0.01, weight_decay=0.1, cosine=True),
    ],
)
def test_the_seeds_recipe_is_three_models_that_do_not_know_each_other(
    hierarchy: Hierarchy, options: HeadOptions
) -> None:
    """Trained together, the three layers come to what three softmax layers come to, each trained on its own labels."""
    training = _toy(hierarchy, 11, seed=0)
    heads, _ = _train(hierarchy, training, None, options)
    assert (heads.joint, heads.reads) == (False, "features")
    for space, layer in _by_hand(hierarchy, training, options).items():
        np.testing.assert_allclose(heads.weights[space], layer.weight.detach().numpy(), rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(heads.biases[space], layer.bias.detach().numpy(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("hierarchy", [CAST, NO_WOMEN, UNTYPED])
def test_a_separable_problem_is_learnt(hierarchy: Hierarchy) -> None:
    """Characters that lie apart are told apart on pictures never seen, and so are their shows and types."""
    heads, _ = _train(hierarchy, _toy(hierarchy, 30, seed=0), _toy(hierarchy, 10, seed=1))
    unseen = _toy(hierarchy, 20, seed=2)
    found = heads.probabilities(unseen.embeddings())
    assert (found.character.argmax(axis=1) == unseen.characters).mean() > 0.97
    assert (found.show.argmax(axis=1) == hierarchy.show_of[unseen.characters]).mean() > 0.97
    types = hierarchy.type_of[unseen.characters]
    typed = types >= 0
    assert np.count_nonzero(found.type.argmax(axis=1)[typed] != types[typed]) <= 0.03 * len(types)


def test_a_type_without_any_character_has_no_probability() -> None:
    """Where nobody is female, nobody is taken for one."""
    heads, _ = _train(NO_WOMEN, _toy(NO_WOMEN, 20, seed=0), _toy(NO_WOMEN, 5, seed=1))
    found = heads.probabilities(_toy(NO_WOMEN, 5, seed=2).embeddings())
    assert (found.type[:, 1] == 0).all()
    assert np.allclose(found.type.sum(axis=1), 1)


@pytest.mark.parametrize("joint", [True, False])
def test_the_same_seed_gives_the_same_weights(*, joint: bool) -> None:
    """Training is repeatable bit for bit, whatever the state of torch's own generator; another seed differs."""
    training, validation = _toy(CAST, 20, seed=0), _toy(CAST, 5, seed=1)
    runs = []
    for seed in (3, 3, 4):
        torch.rand(5)
        options = HeadOptions(epochs=8, batch=16, seed=seed, joint=joint)
        runs.append(_train(CAST, training, validation, options)[0])
    _require_equal(runs[0], runs[1])
    assert not np.array_equal(runs[0].weights["character"], runs[2].weights["character"])


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
    shuffled = replace(validation, characters=np.random.default_rng(0).permutation(validation.characters))
    options = HeadOptions(epochs=60, patience=4, cosine=False)
    trained = train_heads(CAST, training, shuffled, options)
    assert trained.best == _best(trained.history).number
    assert len(trained.history) == trained.best + options.patience < options.epochs
    assert [epoch.number for epoch in trained.history] == list(range(1, len(trained.history) + 1))
    # As many epochs, and nothing to stop by: the same way, to its end.
    _require_equal(trained.heads, _train(CAST, training, None, replace(options, epochs=trained.best))[0])


@pytest.mark.parametrize("validation", [None, Part.of(np.empty((0, DIMENSION), np.float32), np.empty(0, np.int64))])
def test_without_validation_pictures_all_epochs_are_run(validation: Part | None) -> None:
    """Nothing to stop by: every epoch counts, its loss is that of training, and the last one is kept."""
    trained = train_heads(CAST, _toy(CAST, 20, seed=0), validation, HeadOptions(epochs=12, patience=2))
    assert trained.best == len(trained.history) == 12
    assert all(epoch.validation_loss is epoch.validation_accuracy is None for epoch in trained.history)
    assert trained.history[-1].training_loss < trained.history[0].training_loss
    assert all(epoch.pictures_per_second > 0 for epoch in trained.history)
    unseen = _toy(CAST, 10, seed=2)
    assert (trained.heads.probabilities(unseen.embeddings()).character.argmax(axis=1) == unseen.characters).mean() > 0.9


def test_a_rare_character_counts_as_much_as_a_frequent_one() -> None:
    """With 3 pictures against 300 that overlap, the rare one is found where classes are balanced, and only there."""
    rng = np.random.default_rng(0)

    def draw(counts: Sequence[int]) -> Part:
        characters = np.repeat([0, 1], counts)
        centres = np.where(characters == 0, -0.7, 0.7)[:, np.newaxis]
        return Part.of((rng.standard_normal((len(characters), 4)) + centres).astype(np.float32), characters)

    training, unseen = draw([300, 3]), draw([200, 200])
    for balanced, least, most in ((True, 0.3, 0.7), (False, 0.0, 0.2)):
        heads, _ = _train(NO_WOMEN, training, None, HeadOptions(epochs=20, balanced=balanced))
        guesses = heads.probabilities(unseen.embeddings()).character.argmax(axis=1)
        assert least <= guesses.mean() < most


def test_numbers_that_never_change_do_no_harm() -> None:
    """Constant columns, columns that are all zero, and a training part of one picture give finite probabilities."""
    learned, asked = _toy(CAST, 6, seed=0), _toy(CAST, 4, seed=1)
    vectors, unseen = learned.embeddings(), asked.embeddings()
    vectors[:, 0], vectors[:, 1] = 0, 7
    unseen[:, 0], unseen[:, 1] = 1000, -1000
    training = Part.of(vectors, learned.characters)
    heads, _ = _train(CAST, training, None, HeadOptions(epochs=20))
    found = heads.probabilities(unseen).character
    assert np.isfinite(found).all()
    assert (found.argmax(axis=1) == asked.characters).mean() > 0.9
    heads, _ = _train(CAST, training.only(np.arange(len(training)) == 0), None, HeadOptions(epochs=2))
    assert np.isfinite(heads.probabilities(unseen).character).all()


# Vectors that stay in the file


class _Lazy:
    """Vectors that are read when they are asked for; it notes how many at a time, and can break off."""

    def __init__(self, part: Part, most: int = 10**9) -> None:
        self._held = part.embeddings()
        self._most = most
        self.read: list[int] = []

    def __len__(self) -> int:
        return len(self._held)

    @property
    def shape(self) -> tuple[int, ...]:
        """How many there are, and their dimension."""
        return self._held.shape

    def __getitem__(self, index: slice | NDArray[np.int64]) -> Matrix:
        rows = self._held[index]
        self.read.append(len(rows))
        if len(self.read) > self._most:
            raise ConnectionError("the disk is gone")
        return rows

    def part(self, characters: NDArray[np.int64]) -> Part:
        """Return a part of all of them, in reverse, so that rows and positions differ."""
        return Part(self, np.arange(len(self))[::-1].copy(), characters[::-1].copy())


@pytest.mark.parametrize("resident", [0, 10**9])
def test_vectors_in_a_file_give_the_same_heads(resident: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read once or batch by batch, never more than a block at a time, they come to what vectors in memory come to."""
    training, validation = _toy(CAST, 250, seed=0), _toy(CAST, 5, seed=1)
    lazy, options = _Lazy(training), HeadOptions(epochs=3, batch=64)
    in_memory = Part.of(training.embeddings()[::-1], training.characters[::-1].copy())
    expected, _ = _train(CAST, in_memory, validation, options)
    monkeypatch.setattr("indexer.training.heads.RESIDENT", resident)
    heads, _ = _train(CAST, lazy.part(training.characters), validation, options)
    _require_equal(heads, expected)
    assert max(lazy.read) <= BLOCK < len(training)
    epochs_read = sum(lazy.read) / len(training)
    assert (epochs_read == 2) if resident else (epochs_read >= 1 + options.epochs)


# Interrupted trainings


class _Interrupted(Exception):
    """Stands in for kill -9."""


@pytest.mark.parametrize(
    ("options", "validated"),
    [
        (HeadOptions(epochs=5, patience=2, batch=32), True),
        (HeadOptions(epochs=4, batch=32), False),
        (replace(RECIPES["seed"], epochs=3, batch=32), True),
    ],
)
def test_an_interrupted_training_comes_to_the_same(options: HeadOptions, tmp_path: Path, *, validated: bool) -> None:
    """Stopped after any epoch, even after each, and started again, it gives the same weights, bit for bit.

    Who looks on hears of all epochs each time, the earlier ones as they were.
    """
    training, validation = _toy(CAST, 20, seed=0), _toy(CAST, 10, seed=1) if validated else None
    whole = train_heads(CAST, training, validation, options)
    for stop in range(1, len(whole.history) + 1):

        def told(epoch: Epoch, last: int = stop) -> None:
            if epoch.number == last:
                raise _Interrupted

        for checkpoint in (
            Checkpoint(tmp_path / f"{stop}.safetensors", "x"),
            Checkpoint(tmp_path / "each.safetensors", "x"),
        ):
            with pytest.raises(_Interrupted):
                train_heads(CAST, training, validation, options, told, checkpoint)
        heard: list[Epoch] = []
        again = train_heads(
            CAST, training, validation, options, heard.append, Checkpoint(tmp_path / f"{stop}.safetensors", "x")
        )
        _require_equal(again.heads, whole.heads)
        assert (again.history, again.best) == (whole.history, whole.best)
        assert heard == list(whole.history)
    each = train_heads(CAST, training, validation, options, checkpoint=Checkpoint(tmp_path / "each.safetensors", "x"))
    _require_equal(each.heads, whole.heads)


@pytest.mark.parametrize("reads", [8, 47])
def test_an_epoch_that_was_not_finished_is_done_again(
    reads: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Broken off in the middle of an epoch, the training goes on after the last whole one, and comes to the same."""
    monkeypatch.setattr("indexer.training.heads.RESIDENT", 0)
    training, validation = _toy(CAST, 20, seed=0), _toy(CAST, 10, seed=1)
    options, checkpoint = HeadOptions(epochs=6, batch=10), Checkpoint(tmp_path / "heads.safetensors", "x")
    in_memory = Part.of(training.embeddings()[::-1], training.characters[::-1].copy())
    whole = train_heads(CAST, in_memory, validation, options)
    with pytest.raises(ConnectionError):
        train_heads(CAST, _Lazy(training, reads).part(training.characters), validation, options, checkpoint=checkpoint)
    lazy = _Lazy(training)
    again = train_heads(CAST, lazy.part(training.characters), validation, options, checkpoint=checkpoint)
    _require_equal(again.heads, whole.heads)
    done = (reads - 1) // 10  # one read for the spread, and ten batches an epoch
    assert len(lazy.read) == 1 + 10 * (options.epochs - done)


def test_a_training_that_was_done_is_not_done_again(tmp_path: Path) -> None:
    """Where the checkpoint holds the last epoch, the heads come from it; no epoch is added."""
    training, validation = _toy(CAST, 20, seed=0), _toy(CAST, 10, seed=1)
    options, checkpoint = HeadOptions(epochs=4), Checkpoint(tmp_path / "heads.safetensors", "x")
    first = train_heads(CAST, training, validation, options, checkpoint=checkpoint)
    before = checkpoint.file.stat().st_mtime_ns
    again = train_heads(CAST, training, validation, options, checkpoint=checkpoint)
    _require_equal(again.heads, first.heads)
    assert again.history == first.history
    assert checkpoint.file.stat().st_mtime_ns == before


def test_the_checkpoint_of_another_training_is_refused(tmp_path: Path) -> None:
    """What was begun with other options is not gone on with, and stays as it is."""
    file = tmp_path / "heads.safetensors"
    training = _toy(CAST, 5, seed=0)
    train_heads(CAST, training, None, HeadOptions(epochs=1), checkpoint=Checkpoint(file, "one epoch"))
    before = file.read_bytes()
    with pytest.raises(BuildError, match="other options or another library"):
        train_heads(CAST, training, None, HeadOptions(epochs=2), checkpoint=Checkpoint(file, "two epochs"))
    assert file.read_bytes() == before
