"""Lessons: losses that are about 1 for who knows nothing, and near 0 for who knows all."""

import torch
from torch import nn

from indexer.pretraining.drawings import NOBODY
from indexer.pretraining.lessons import Asked, Drawn, Lessons
from indexer.pretraining.student import CHANNELS, Seen
from indexer.pretraining.teachers import Scale, rooted
from recommender.encoders.pooled import WIDTH

ASKED = (Asked("middle", 2, 12, whole=False), Asked("last", 4, 20, whole=True))
IDENTITIES, STYLES, PARAMETERS = 50, 10, 4


def _random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def _seen(count: int) -> Seen:
    maps = tuple(_random(count, one, 32 >> block, 32 >> block, seed=block).relu() for block, one in enumerate(CHANNELS))
    return Seen(maps, _random(count, WIDTH, seed=9).relu())


def _drawn(count: int) -> Drawn:
    numbers = torch.arange(count)
    return Drawn(numbers % IDENTITIES, numbers % STYLES)


def _lessons(asked: tuple[Asked, ...] = ASKED) -> Lessons:
    torch.manual_seed(0)
    return Lessons(asked, IDENTITIES, _random(STYLES, PARAMETERS, seed=4))


def test_who_knows_nothing_has_losses_of_about_one() -> None:
    """Fresh lessons on unrelated maps: each loss lies between 0.6 and 3, so that none drowns the others."""
    lessons = _lessons()
    targets = {"middle": _random(16, 12, 8, 8, seed=5), "last": _random(16, 20, 5, 5, seed=6)}
    losses = lessons(_seen(16), targets, _drawn(16))
    assert set(losses) == {"middle", "last", "last_whole", "identity", "style", "parameters", "alike"}
    for name, loss in losses.items():
        assert 0.6 < float(loss.detach()) < 3.0, name


def test_a_pattern_asks_for_nobody() -> None:
    """Drawings of nobody count for the teachers' lessons alone: whoever else is in the batch, they change nothing."""
    lessons = _lessons()
    seen, drawn = _seen(8), _drawn(8)
    few = Seen(tuple(maps[:5] for maps in seen.maps), seen.embedding[:5]) if seen.embedding is not None else seen
    drawn.identity[5:] = drawn.style[5:] = NOBODY
    all_of_them = lessons(seen, {}, drawn)
    without = lessons(few, {}, Drawn(drawn.identity[:5], drawn.style[:5]))
    assert set(without) == {"identity", "style", "parameters", "alike"}
    for name, loss in without.items():
        torch.testing.assert_close(all_of_them[name], loss, msg=name)
    nobody = torch.full((8,), NOBODY)
    nothing = lessons(seen, {}, Drawn(nobody, nobody))
    assert [float(nothing[name].detach()) for name in ("identity", "style", "parameters")] == [0.0, 0.0, 0.0]
    torch.autograd.backward(torch.stack(list(nothing.values())).sum())
    assert all(weight.grad is None or weight.grad.isfinite().all() for weight in lessons.parameters())


def test_cosines_that_follow_the_styles_are_learnt() -> None:
    """Embeddings that are free to move end up as near to each other as the styles are: 1 - r falls to near 0."""
    lessons = _lessons().requires_grad_(requires_grad=False)
    drawn = Drawn(torch.arange(STYLES), torch.arange(STYLES))
    embedding = _random(STYLES, WIDTH, seed=9).abs().requires_grad_()
    optimiser = torch.optim.Adam([embedding], 0.05)
    losses = []
    for _ in range(150):
        loss = lessons(Seen((), embedding.relu()), {}, drawn)["alike"]
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[0] > 0.5
    assert losses[-1] < 0.1


def test_the_lessons_can_be_learnt() -> None:
    """Where maps follow from the student's by a fixed layer, a few hundred steps bring the loss near 0."""
    lessons = _lessons(ASKED[:1])
    seen, nobody = _seen(8), torch.full((8,), NOBODY)
    rule = nn.Conv2d(CHANNELS[2], 12, 1)
    target = rule(seen.maps[2]).detach()
    optimiser = torch.optim.Adam(lessons.parameters(), 0.01)
    losses = []
    for _ in range(300):
        loss = lessons(seen, {"middle": target}, Drawn(nobody, nobody))["middle"]
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.02 < losses[0]


def test_targets_are_rooted_and_standardised() -> None:
    """A channel has mean 0 and deviation 1 after its square root; one that never speaks is 0."""
    maps = _random(64, 3, 4, 4, seed=7).relu()
    maps[:, 2] = 0.0
    target = Scale.measured([maps[:32], maps[32:]]).target(maps)
    assert rooted(torch.tensor([-1.0, 0.0, 4.0])).tolist() == [0.0, 0.0, 2.0]
    torch.testing.assert_close(target.mean((0, 2, 3)), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(target.std((0, 2, 3)), torch.tensor([1.0, 1.0, 0.0]), atol=1e-3, rtol=0)
