"""The anatomy-aware discriminator: what its judgement depends on, and what it is without its attention."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from lowdose.networks.anatomy_discriminator import AnatomyDiscriminator, CrossAttention

CHANNELS = (6, 8, 10)


def semantic(batch: int, seed: int = 0) -> list[Tensor]:
    draw = torch.Generator().manual_seed(seed)
    return [torch.randn(batch, c, side, side, generator=draw) for c, side in zip(CHANNELS, (8, 4, 2), strict=True)]


@pytest.fixture
def network() -> AnatomyDiscriminator:
    torch.manual_seed(0)
    return AnatomyDiscriminator(CHANNELS, width=8).eval()


@torch.no_grad()
def test_the_score_depends_on_image_and_anatomy_and_on_nothing_else_of_the_batch(network: AnatomyDiscriminator) -> None:
    images, maps = torch.randn(2, 1, 64, 64), semantic(2)
    score = network(images, maps)
    assert score.shape == (2, 1, 6, 6)
    swapped = network(images, [map_.flip(0) for map_ in maps])
    assert float((score - swapped).abs().max()) > 1e-4
    assert float((score - network(images.flip(0), maps)).abs().max()) > 1e-4
    torch.testing.assert_close(network(images.flip(0), [map_.flip(0) for map_ in maps]), score.flip(0))
    torch.testing.assert_close(network(images[:1], [map_[:1] for map_ in maps]), score[:1])


@pytest.mark.parametrize("place", range(3))
@torch.no_grad()
def test_each_scale_counts(network: AnatomyDiscriminator, place: int) -> None:
    images, maps = torch.randn(1, 1, 64, 64), semantic(1)
    others = [semantic(1, 7)[n] if n == place else map_ for n, map_ in enumerate(maps)]
    assert float((network(images, maps) - network(images, others)).abs().max()) > 1e-5


@torch.no_grad()
def test_with_its_gates_at_zero_it_is_an_ordinary_patch_gan(network: AnatomyDiscriminator) -> None:
    plain = AnatomyDiscriminator(width=8).eval()
    plain.load_state_dict(network.state_dict(), strict=False)
    for fusion in network.fusions:
        fusion.gate.zero_()  # type: ignore[operator]
    images = torch.randn(2, 1, 48, 80)
    torch.testing.assert_close(network(images, semantic(2)), plain(images))
    with pytest.raises(ValueError, match="0 semantic maps: this discriminator fuses 3"):
        network(images)
    with pytest.raises(ValueError, match="2 semantic maps: the discriminator fuses 3, or none"):
        AnatomyDiscriminator((4, 4))


@torch.no_grad()
def test_attention_written_out() -> None:
    torch.manual_seed(1)
    fusion = CrossAttention(channels=4, semantic=6, width=5)
    h, tissue = torch.randn(1, 4, 8, 8), torch.randn(1, 6, 2, 2)
    weights = fusion.weights(h, tissue)
    assert weights.shape == (1, 2, 2, 8, 8)
    torch.testing.assert_close(weights.sum(dim=(3, 4)), torch.ones(1, 2, 2))
    query = fusion.query(fusion.norm(tissue))[0, :, 1, 0]
    key, value = fusion.key(h)[0].flatten(1), fusion.value(h)[0].flatten(1)
    own = torch.exp(query @ key / 5**0.5)
    own = own / own.sum()
    torch.testing.assert_close(weights[0, 1, 0].flatten(), own)
    seen: list[Tensor] = []
    fusion.mix.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    fusion(h, tissue)
    corner = (value @ own)[:, None]  # bilinear upsampling leaves the corner of the lower left quarter
    torch.testing.assert_close(seen[0][0, 4:, 7, 0:1], corner)


@torch.no_grad()
def test_attention_maps_of_all_stages(network: AnatomyDiscriminator) -> None:
    found = network.attention(torch.randn(1, 1, 128, 128), semantic(1))
    assert [tuple(weights.shape) for weights in found] == [(1, 8, 8, 32, 32), (1, 4, 4, 32, 32), (1, 2, 2, 16, 16)]


def test_layers_are_divided_by_their_spectral_norm(network: AnatomyDiscriminator) -> None:
    network.train()
    for _ in range(30):
        network(torch.randn(1, 1, 64, 64), semantic(1))
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and hasattr(module, "parametrizations"):
            norm = torch.linalg.matrix_norm(module.weight.detach().flatten(1), 2)
            assert float(norm) == pytest.approx(1, abs=0.05)
