"""Random views of drawings: same dice same views; normalised as networks expect."""

import torch

from indexer.pretraining.augment import DEVIATION, MEAN, normalised, plain, views


def _drawings(count: int = 8) -> torch.Tensor:
    return torch.randint(0, 256, (count, 3, 40, 40), generator=torch.Generator().manual_seed(3), dtype=torch.uint8)


def _dice(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_the_same_dice_give_the_same_views() -> None:
    """A resumed training sees what an unbroken one would have seen; other dice show something else."""
    one, again, other = (views(_drawings(), 32, _dice(seed)) for seed in (1, 1, 2))
    assert one.shape == (8, 3, 32, 32)
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def test_views_stay_within_what_a_picture_can_be() -> None:
    """However light, tint and noise fall, a view is a picture: 0..1 before it was normalised."""
    mean, deviation = (torch.tensor(values)[None, :, None, None] for values in (MEAN, DEVIATION))
    for seed in range(5):
        back = views(_drawings(), 32, _dice(seed)) * deviation + mean
        assert back.min() > -1e-5
        assert back.max() < 1 + 1e-5


def test_a_plain_view_is_the_drawing() -> None:
    """At its own size nothing happens to a drawing but the normalisation: of grey 0.5, (0.5 - mean) / deviation."""
    grey = torch.full((1, 3, 16, 16), 128, dtype=torch.uint8)
    expected = [(128 / 255 - mean) / deviation for mean, deviation in zip(MEAN, DEVIATION, strict=True)]
    torch.testing.assert_close(plain(grey, 16)[0, :, 5, 5], torch.tensor(expected))
    drawing = _drawings(1)
    torch.testing.assert_close(plain(drawing, 40), normalised(drawing.float() / 255))
