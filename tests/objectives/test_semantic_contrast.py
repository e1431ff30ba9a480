"""Semantic contrast: its formula, its two kinds of negatives, what it is lowest for, and what it leaves untouched."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lowdose.errors import InvalidSetting
from lowdose.hounsfield import OBJECTIVE
from lowdose.networks.features.base import FrozenFeatures
from lowdose.networks.features.registry import load_features
from lowdose.networks.features.semantic import map_channels, semantic_maps
from lowdose.objectives import MSE, SemanticContrast
from lowdose.objectives.semantic_contrast import (
    APART_HU,
    TISSUES_HU,
    other_tissues,
    semantic_contrast,
)
from lowdose.phantom.patient import digital_patient


def maps(seed: int, height: int = 4, width: int = 6) -> Tensor:
    return torch.randn(2, 5, height, width, generator=torch.Generator().manual_seed(seed))


def tissues(seed: int, height: int = 4, width: int = 6) -> Tensor:
    """An image whose places of 8 x 8 pixels are of fat, muscle, lung and bone."""
    hu = torch.tensor([-100.0, 50.0, -800.0, 600.0])
    kinds = torch.randint(4, (2, 1, height, width), generator=torch.Generator().manual_seed(seed))
    return OBJECTIVE.encode(hu[kinds].repeat_interleave(8, 2).repeat_interleave(8, 3))


def unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)


@pytest.mark.parametrize("with_low", [True, False])
def test_the_formula_written_out(with_low: bool) -> None:
    pred, target, low, image = maps(0), maps(1), maps(2), tissues(3)
    hu = OBJECTIVE.decode(image)[:, 0, ::8, ::8].reshape(2, -1).numpy()
    p, t, w = (m.flatten(2).transpose(1, 2).numpy() for m in (pred, target, low))
    losses = []
    for b in range(2):
        for i in range(24):
            near = math.exp(unit(p[b, i]) @ unit(t[b, i]) / 0.1)
            others = [j for j in range(24) if hu[b, j] != hu[b, i]]
            others.sort(key=lambda j: unit(t[b, i]) @ unit(t[b, j]))
            far = [math.exp(unit(p[b, i]) @ unit(t[b, j]) / 0.1) for j in others[:6]]  # a quarter of 24
            far += [math.exp(unit(p[b, i]) @ unit(w[b, i]) / 0.1)] if with_low else []
            losses.append(-math.log(near / (near + sum(far))))
    found = semantic_contrast(pred, target, image, low if with_low else None)
    assert float(found) == pytest.approx(np.mean(losses), rel=1e-4)


def test_without_another_tissue_the_low_dose_image_alone_is_negative() -> None:
    pred, target, low = maps(0), maps(1), maps(2)
    even = torch.full((2, 1, 32, 48), 0.35)
    assert not other_tissues(target, even)[1].any()
    assert float(semantic_contrast(pred, target, even)) == 0.0
    assert float(semantic_contrast(target, target, even, target)) == pytest.approx(math.log(2), rel=1e-5)
    assert float(semantic_contrast(pred, target, even, low)) > 0


@pytest.mark.parametrize("region", ["abdomen", "chest"])
def test_negatives_are_never_of_the_anchors_tissue(region: str) -> None:
    # Organs of one material; stomach and colon hold gas and food, and a kidney's cortex enhances before its medulla.
    patient = digital_patient(6, region=region, slices=1, size=384, pixel_mm=0.9)
    hu = torch.from_numpy(np.asarray(patient.volume.hu[0], np.float32))[None, None]
    solid = {
        number for number, name in patient.names.items() if name.startswith(("spleen", "lung", "skeletal", "heart"))
    }
    features, checked = load_features("anatomy"), 0
    for map_ in semantic_maps(features, OBJECTIVE.encode(hu)):
        side = 384 // map_.shape[-1]
        places, valid = other_tissues(map_, OBJECTIVE.encode(hu))
        step = round((map_[0, 0].numel() / places.shape[1]) ** 0.5)
        cells = patient.labels[0].reshape(map_.shape[-2], side, -1, side).transpose(0, 2, 1, 3)[::step, ::step]
        cells = cells.reshape(places.shape[1], -1)
        tissue = np.where((cells == cells[:, :1]).all(1), cells[:, 0], -1)
        for place, (chosen, good) in enumerate(zip(places[0].numpy(), valid[0].numpy(), strict=True)):
            if tissue[place] in solid:
                assert tissue[place] not in tissue[chosen[good]]
                checked += int(good.sum())
    assert checked > 50


def test_tissues_are_apart_in_class_and_in_hu() -> None:
    # 85 and 95 HU are on both sides of a limit, and yet the same; -900 and -300 HU are both lung.
    hu = torch.tensor([85.0, 95.0, -900.0, -300.0, 300.0, 1200.0, 50.0, -100.0])
    image = OBJECTIVE.encode(hu.reshape(1, 1, 2, 4).repeat_interleave(8, 2).repeat_interleave(8, 3))
    places, valid = other_tissues(torch.randn(1, 3, 2, 4), image, count=2)
    classes = np.digitize(hu.numpy(), TISSUES_HU)
    for place in range(8):
        for other in places[0, place][valid[0, place]].tolist():
            assert classes[place] != classes[other]
            assert abs(float(hu[place] - hu[other])) >= APART_HU


def test_it_is_lowest_at_full_dose_and_higher_at_low_dose() -> None:
    patient = digital_patient(3, region="abdomen", slices=1, size=160, pixel_mm=2.0)
    full = OBJECTIVE.encode(torch.from_numpy(np.asarray(patient.volume.hu, np.float32))[None].clamp(-1000, 2000))
    noise = torch.randn(full.shape, generator=torch.Generator().manual_seed(0)) * 60 / 3000
    objective = SemanticContrast(load_features("anatomy"))
    found = [float(objective(full + share * noise, full)) for share in (0, 0.5, 1)]
    beside = [
        float(objective.terms_with_low_dose(full + share * noise, full, full + noise)["semantic_contrast"])
        for share in (0, 0.5, 1)
    ]
    assert found == sorted(found)
    assert beside == sorted(beside)
    assert beside[2] > 1.1 * beside[0]


def test_gradients_reach_the_prediction_alone_and_the_vision_model_stays() -> None:
    features = load_features("anatomy-random")
    before = {key: value.clone() for key, value in features.state_dict().items()}
    pred, full, low = torch.rand(3, 1, 1, 64, 64).unbind()
    pred.requires_grad_()
    (MSE() + 0.1 * SemanticContrast(features)).terms_with_low_dose(pred, full, low)["semantic_contrast"].backward()
    assert pred.grad is not None
    assert float(pred.grad.abs().sum()) > 0
    assert all(torch.equal(value, before[key]) for key, value in features.state_dict().items())
    assert all(parameter.grad is None for parameter in features.parameters())


def test_too_few_layers_are_refused() -> None:
    class TwoLayers(FrozenFeatures):
        def maps(self, image: Tensor) -> dict[str, Tensor]:
            return {"a": image, "b": image[..., ::2, ::2]}

    with pytest.raises(InvalidSetting, match=r"features 'two' have 2 layer\(s\): semantics are taken from 3"):
        map_channels(TwoLayers("two", nn.Conv2d(1, 1, 1), 8))
    assert map_channels(load_features("anatomy")) == [128, 160, 192]
