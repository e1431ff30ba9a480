"""Words added to coarse latents: those of the organs in the region, nothing on air, nothing elsewhere."""

from __future__ import annotations

import torch

from lowdose.networks.organ_words import OrganWords
from lowdose.organ_classes import CLASSES, INDEX


def made() -> OrganWords:
    words = OrganWords(len(CLASSES), 3)
    words.set_words([torch.eye(len(CLASSES)), 2 * torch.eye(len(CLASSES))])
    return words


def certain(name: str, cells: tuple[int, int] = (12, 8)) -> torch.Tensor:
    """Return logits of one class everywhere."""
    logits = torch.full((1, len(CLASSES), *cells), -50.0)
    logits[:, INDEX[name]] = 50.0
    return logits


def test_each_layer_gets_its_own_words_at_its_positions_alone() -> None:
    latents = torch.zeros(1, len(CLASSES), 12, 8)
    added = made()(latents, certain("liver"))
    assert not bool(latents.any())  # as given
    liver = added[0, INDEX["liver"]]
    places = {(7, 7): 3.0, (3, 3): 2.0, (3, 7): 2.0, (7, 3): 2.0, (11, 3): 2.0, (11, 7): 2.0}
    for row in range(12):
        for column in range(8):
            assert float(liver[row, column]) == places.get((row, column), 0.0)
    assert float(added.sum()) == float(liver.sum())


def test_air_and_what_has_no_class_have_no_words() -> None:
    for name in ("outside", "body"):
        assert not bool((made()(torch.zeros(1, len(CLASSES), 12, 8), certain(name)).abs() > 1e-6).any())


def test_a_region_half_of_air_has_half_a_word_and_the_largest_organ_decides() -> None:
    logits = certain("spleen", (4, 4))
    logits[..., :2] = certain("outside", (4, 2))
    added = made()(torch.zeros(1, len(CLASSES), 4, 4), logits)
    assert abs(float(added[0, INDEX["spleen"], 3, 3]) - 2 * 0.5) < 1e-5
    logits = certain("spleen", (4, 4))
    logits[..., :1] = certain("kidney", (4, 1))
    added = made()(torch.zeros(1, len(CLASSES), 4, 4), logits)[0, :, 3, 3]
    spleen, kidney = (float(added[INDEX[name]]) for name in ("spleen", "kidney"))
    assert abs(spleen / kidney - 9) < 1e-3  # squares of 3/4 and 1/4
    assert abs(spleen + kidney - 2) < 1e-5


def test_the_gradient_reaches_the_organs() -> None:
    logits = torch.zeros(1, len(CLASSES), 4, 4, requires_grad=True)
    added = made()(torch.zeros(1, len(CLASSES), 4, 4), logits)
    added[0, INDEX["liver"], 3, 3].backward()
    assert logits.grad is not None
    assert bool((logits.grad[0, INDEX["liver"]] > 0).all())
