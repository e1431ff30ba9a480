"""Encoder and decoder: their sizes, their blocks written out, and what of an image each latent sees."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional

from lowdose.networks.pyramid_quantiser import positions
from lowdose.networks.vqgan import (
    SIZES,
    AttentionBlock,
    Downsample,
    NoiseInjection,
    PixelNorm,
    PositionEmbedding,
    ResNetBlock,
    Size,
    decoder,
    encoder,
)


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def blocks(network: nn.Module) -> tuple[int, int]:
    return tuple(sum(isinstance(part, kind) for part in network) for kind in (ResNetBlock, AttentionBlock))


def test_the_released_size_is_that_of_the_authors_configuration() -> None:
    there, back = encoder(SIZES["released"], 3), decoder(SIZES["released"])
    assert parameters(there) / 1e6 == pytest.approx(5.18, abs=0.005)
    assert parameters(back) / 1e6 == pytest.approx(8.21, abs=0.005)
    assert (blocks(there), blocks(back)) == ((7, 1), (12, 1))
    products = []
    for part in there.modules():
        if isinstance(part, nn.Conv2d):
            part.register_forward_hook(lambda part, _, made: products.append(part.weight.numel() * made[0, 0].numel()))
    there(torch.zeros(1, 1, 64, 64))
    assert 64 * sum(products) / 1e9 == pytest.approx(37, abs=0.5)  # of 512 x 512


def test_the_papers_size_has_its_blocks() -> None:
    assert blocks(encoder(SIZES["paper"], 3)) == blocks(decoder(SIZES["paper"])) == (6, 2)


@pytest.mark.parametrize("name", SIZES)
def test_every_size_makes_32_x_32_latents_of_512_x_512_and_back(name: str) -> None:
    size = SIZES[name]
    assert size.stride == 16
    thin = replace(size, widths=(1,) * len(size.widths), middle=2, groups=min(1, size.groups))
    with torch.inference_mode():
        channels = 1 + len(size.windows)
        latents = encoder(thin, 3)(torch.zeros(2, channels, 512, 512))
        assert latents.shape == (2, 2, 32, 32)
        assert decoder(thin)(latents).shape == (2, 1, 512, 512)
        assert encoder(size, 3)(torch.zeros(1, channels, 32, 48)).shape == (1, size.middle, 2, 3)
        assert decoder(size)(torch.zeros(1, size.middle, 2, 3)).shape == (1, 1, 32, 48)


def test_all_weights_of_every_block_are_its_own() -> None:
    for size in SIZES.values():
        for network in (encoder(size, 3), decoder(size)):
            modules = [module for module in network if parameters(module)]
            assert len({id(module) for module in modules}) == len(modules)
            assert parameters(network) == sum(map(parameters, modules))


def test_pixel_norm_written_out() -> None:
    norm, x = PixelNorm(5), torch.randn(2, 5, 3, 4, generator=torch.Generator().manual_seed(0))
    norm.weight.data = torch.arange(1.0, 6.0)[:, None, None]
    found = norm(x)
    for b in range(2):
        for row in range(3):
            for column in range(4):
                pixel = x[b, :, row, column]
                wanted = pixel / (pixel.square().mean() + 1e-6).sqrt() * torch.arange(1.0, 6.0)
                torch.testing.assert_close(found[b, :, row, column], wanted)
    assert norm(torch.zeros(1, 5, 1, 1)).eq(0).all()
    assert norm(x.bfloat16()).dtype == torch.bfloat16


def test_placing_tells_how_many_layers_have_a_token_at_a_position() -> None:
    placing = PositionEmbedding(4, 3)
    assert torch.equal(placing(torch.ones(1, 4, 32, 32)), torch.ones(1, 4, 32, 32))  # nothing before it has learned
    placing.vectors.data = torch.tensor([[100.0], [10.0], [1.0]]).expand(3, 4).clone()
    x = torch.randn(2, 4, 32, 32, generator=torch.Generator().manual_seed(0))
    added = (placing(x) - x).round()
    assert torch.equal(added[0], added[1])
    values, counts = added[0].unique(return_counts=True)
    assert dict(zip(values.tolist(), counts.tolist(), strict=True)) == {111.0: 4 * 4, 11.0: 4 * 60, 1.0: 4 * 960}
    rows = positions(3)
    assert added[0, 0, rows[0], rows[0]].eq(111).all()
    assert added[0, 0, rows[1], rows[1]].ge(11).all()


def test_a_resnet_block_written_out() -> None:
    torch.manual_seed(0)
    block, x = ResNetBlock(32, 64, groups=32), torch.randn(1, 32, 6, 5)
    h = block.first(functional.silu(functional.group_norm(x, 32, eps=1e-6)))
    h = block.second(functional.silu(functional.group_norm(h, 32, eps=1e-6)))
    torch.testing.assert_close(block(x), h + block.shortcut(x))
    assert block.shortcut.kernel_size == (1, 1)
    assert isinstance(ResNetBlock(32, 32, 32).shortcut, nn.Identity)


def test_attention_written_out() -> None:
    torch.manual_seed(0)
    block, x = AttentionBlock(6, groups=0), torch.randn(2, 6, 3, 4)
    for image in range(2):
        q, k, v = block.qkv(block.norm(x[image : image + 1]))[0].flatten(1).split(6)
        seen = torch.softmax(q.T @ k / 6**0.5, dim=1) @ v.T  # (12, 6)
        wanted = x[image] + block.project(seen.T.reshape(1, 6, 3, 4))[0]
        torch.testing.assert_close(block(x)[image], wanted)


def test_a_halving_starts_at_the_first_pixel_and_needs_no_odd_side() -> None:
    halving = Downsample(1)
    halving.conv.weight.data = torch.zeros(1, 1, 3, 3)
    halving.conv.weight.data[..., 0, 0] = 1.0
    halving.conv.bias.data.zero_()
    x = torch.randn(1, 1, 6, 8)
    assert torch.equal(halving(x), x[..., ::2, ::2])


def local(size: Size) -> nn.Sequential:
    """The encoder up to its middle blocks, in which every position sees every other."""
    whole = list(encoder(size, 3))
    return nn.Sequential(*whole[: next(n for n, part in enumerate(whole) if isinstance(part, PositionEmbedding))])


def test_a_crop_has_the_features_of_the_slice_away_from_its_border() -> None:
    torch.manual_seed(0)
    seen, image = local(SIZES["small"]), torch.rand(1, 1, 192, 176)
    crop = image[..., 32:160, 16:144]
    with torch.inference_mode():
        whole, part = seen(image)[..., 2:10, 1:9], seen(crop)
    torch.testing.assert_close(part[..., 3:-3, 3:-3], whole[..., 3:-3, 3:-3], rtol=1e-4, atol=1e-5)
    assert not torch.allclose(part[..., :1, :], whole[..., :1, :], atol=1e-3)
    # Statistics of the whole image would not allow it.
    grouped = nn.GroupNorm(32, 64)
    assert not torch.allclose(
        grouped(seen[:3](image))[..., 16:24, 16:24], grouped(seen[:3](crop))[..., 8:16, 12:20], atol=1e-3
    )


def test_noise_is_that_of_the_seed_and_its_strength_that_of_the_features() -> None:
    part, x = NoiseInjection(3), torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    first, again = part(x), part(x)
    assert torch.equal(first, again)
    part.seed = 1
    assert not torch.equal(part(x), first)
    with torch.no_grad():
        part.strength.weight.zero_()
        part.strength.bias.copy_(torch.tensor([0.0, 1.0, 2.0]))
    added = part(torch.zeros(1, 3, 200, 200))
    assert not bool(added[:, 0].any())
    torch.testing.assert_close(added.std((0, 2, 3)), torch.tensor([0.0, 1.0, 2.0]), rtol=0.02, atol=0)
    assert not [name for name in part.state_dict() if "seed" in name]


def test_without_attention_a_latent_depends_on_the_image_around_it_alone() -> None:
    seen = encoder(SIZES["local"], 3)
    image = torch.rand(1, 2, 512, 64, generator=torch.Generator().manual_seed(0))
    changed = image.clone()
    changed[..., :96, :] += 1.0
    with torch.inference_mode():
        difference = (seen(image) - seen(changed)).abs().amax((0, 1, 3))
    assert bool((difference[:6] > 0).all())
    assert not bool((difference[6 + 8 :] > 1e-6).any())
