"""The student: VGG19 with normalisation, which the shipped network does without."""

import pytest
import torch
from torch import nn

from indexer.pretraining.student import CHANNELS, LOWER, Student
from indexer.pretraining.teachers import KINDS
from recommender.encoders.pooled import LAYER, WIDTH
from recommender.encoders.torch_encoder import network

pytestmark = pytest.mark.slow


def _lived_in(student: Student) -> Student:
    """Give the normalisations something to normalise: as if the student had been trained."""
    dice = torch.Generator().manual_seed(0)
    for module in student.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            for tensor in (module.running_mean, module.bias, module.weight, module.running_var):
                assert tensor is not None
                tensor.data.normal_(0.0, 0.3, generator=dice)
            for tensor in (module.weight, module.running_var):
                assert tensor is not None
                tensor.data.abs_().add_(0.5)
    return student.eval()


def test_folding_changes_nothing() -> None:
    """Torchvision's VGG19 with a light top, given the folded tensors, sees what the trained student sees."""
    student = _lived_in(Student())
    shipped = network("vgg19", LAYER)
    shipped.load_state_dict(student.folded())
    pictures = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        seen, found = student(pictures), shipped(pictures)
    assert seen.embedding is not None
    assert seen.embedding.abs().max() > 0.1
    torch.testing.assert_close(found, seen.embedding, rtol=1e-3, atol=1e-4)


def test_blocks_are_those_of_the_teachers_network() -> None:
    """The maps that a VGG teacher is asked for are those of the same convolutions, at the same size."""
    pictures = torch.zeros(1, 3, 64, 64)
    features = network("vgg19").get_submodule("features")
    assert isinstance(features, nn.Sequential)
    with torch.inference_mode():
        seen = Student().eval()(pictures)
        taps = [features[: tap.layer + 1](pictures).shape for tap in KINDS["vgg19"].taps]
    assert [tap.block for tap in KINDS["vgg19"].taps] == list(range(LOWER))
    assert [one.shape for one in seen.maps[:LOWER]] == taps
    assert [one.shape[1] for one in seen.maps] == list(CHANNELS)
    assert [one.shape[2] for one in seen.maps] == [64, 32, 16, 8, 4]
    assert seen.embedding is not None
    assert seen.embedding.shape == (1, WIDTH)


def test_a_half_learns_alone() -> None:
    """The lower half looks alone; where the upper one learns, the lower one keeps its weights and its statistics."""
    student = Student()
    pictures = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    student.learn("lower")
    seen = student(pictures, "lower")
    assert (len(seen.maps), seen.embedding) == (LOWER, None)
    student.learn("upper")
    before = {name: tensor.clone() for name, tensor in student.blocks[:LOWER].state_dict().items()}
    torch.autograd.backward(student(pictures, "upper").embedding.sum())
    assert all(weight.grad is None for weight in student.blocks[:LOWER].parameters())
    assert all(weight.grad is not None for weight in student.blocks[LOWER:].parameters())
    for name, tensor in student.blocks[:LOWER].state_dict().items():
        assert torch.equal(tensor, before[name])
