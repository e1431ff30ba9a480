"""The denoiser: any size without seams, exact identity outside its range."""

import pytest
import torch

from lowdose.errors import IncompatibleCheckpoint, InvalidSetting
from lowdose.hounsfield import OBJECTIVE, Scale
from lowdose.network_spec import NetworkSpec
from lowdose.networks.denoiser import MARGIN, Denoiser, keep_local_means, pad_to

SMALL = NetworkSpec("unet", {"width": 4, "levels": 3})


def trained() -> Denoiser:
    torch.manual_seed(0)
    denoiser = Denoiser(SMALL, Scale()).eval()
    torch.nn.init.normal_(denoiser.network.out.weight, std=0.3)
    return denoiser


@pytest.mark.parametrize("shape", [(1, 1), (5, 7), (16, 16), (17, 31), (64, 40), (616, 24)])
@pytest.mark.parametrize("name", ["unet", "red_cnn", "esau_net"])
def test_any_size(name: str, shape: tuple[int, int]) -> None:
    settings = {"unet": {"width": 2, "levels": 3}, "red_cnn": {"channels": 2}, "esau_net": {"width": 8}}[name]
    hu = torch.randn(1, 1, *shape) * 30
    out = Denoiser(NetworkSpec(name, settings), Scale()).eval().denoise(hu)
    assert out.shape == hu.shape
    assert out.isfinite().all()


def test_padding_leaves_no_seam() -> None:
    denoiser = trained()
    large = torch.randn(1, 1, 128, 128) * 30
    # A crop whose sides do not divide, far from its cut edge, must equal the whole image there.
    part = denoiser.denoise(large[..., :93, :91])
    torch.testing.assert_close(part[..., :30, :30], denoiser.denoise(large)[..., :30, :30], atol=1e-3, rtol=1e-5)


def test_outside_its_range_the_output_is_the_input() -> None:
    hu = torch.randn(1, 1, 32, 32) * 30
    special = [3071.0, 2000.0, 2000.5, 30000.0, -8192.0, -1150.0, -2000.0]
    for place, value in enumerate(special):
        hu[0, 0, 3 * place, 5] = value
    out = trained().denoise(hu)
    for place, value in enumerate(special):
        assert float(out[0, 0, 3 * place, 5]) == value
    assert not torch.equal(out, hu)


def test_change_fades_in_over_fifty_hu() -> None:
    scale = Scale(low=-1000, high=1000)
    trust = scale.trust(torch.tensor([-1001.0, -1000, -975, -950, 0, 950, 975, 1000, 1001]))
    torch.testing.assert_close(trust, torch.tensor([0, 0, 0.5, 1, 1, 1, 0.5, 0, 0]))


def test_one_pixel_of_metal_does_not_reach_far() -> None:
    denoiser = trained()
    hu = torch.randn(1, 1, 64, 64) * 30
    metal = hu.clone()
    metal[0, 0, 32, 32] = 30000.0
    clipped = hu.clone()
    clipped[0, 0, 32, 32] = denoiser.scale.high
    same = denoiser.denoise(metal) == denoiser.denoise(clipped)
    assert same.sum() >= same.numel() - 1


def test_scale_is_a_bijection_and_refuses_nonsense() -> None:
    hu = torch.linspace(-2000, 4000, 101, dtype=torch.float64)
    for scale in (Scale(), OBJECTIVE, Scale(zero=-1150, one=2000)):
        torch.testing.assert_close(scale.decode(scale.encode(hu)), hu)
    assert float(Scale().encode(torch.tensor(0.0))) == 0.0
    for wrong in ({"low": 100.0, "high": 50.0}, {"one": 0.0}, {"high": float("nan")}):
        with pytest.raises(InvalidSetting):
            Scale(**wrong)


@pytest.mark.parametrize("shape", [(1, 1), (3, 40), (31, 64), (512, 100)])
def test_padding_keeps_the_image_in_place_and_sides_in_multiples(shape: tuple[int, int]) -> None:
    image = torch.randn(1, 1, *shape)
    padded = pad_to(image, 8, 16)
    assert padded.shape[-1] % 8 == padded.shape[-2] % 8 == 0
    assert torch.equal(padded[..., MARGIN : MARGIN + shape[0], MARGIN : MARGIN + shape[1]], image)
    if min(shape) > 2 * MARGIN:
        assert torch.equal(padded[..., MARGIN - 1, MARGIN : MARGIN + shape[1]], image[..., 1, :])


def test_the_border_of_the_image_is_like_its_middle() -> None:
    torch.manual_seed(0)
    denoiser = trained()
    flat = torch.full((1, 1, 64, 64), 300.0)
    changed = denoiser.denoise(flat) - flat
    assert float(changed.abs().max()) < 0.05


def test_local_means_survive_whatever_the_network_does() -> None:
    torch.manual_seed(1)
    hu = torch.randn(1, 1, 128, 128) * 30 + 50
    biased = torch.nn.functional.avg_pool2d(hu, 5, 1, 2) + 7.0
    kept = keep_local_means(hu, biased)
    inside = (..., slice(20, -20), slice(20, -20))
    assert abs(float((biased - hu)[inside].mean())) > 6
    assert abs(float((kept - hu)[inside].mean())) < 0.1
    # The noise is as low as the network made it, but for the little that lies at low frequency.
    assert float(kept[inside].std()) < 1.1 * float(biased[inside].std())


@pytest.mark.parametrize("shape", [(64, 64), (33, 31), (32, 1), (5, 100), (97, 2)])
@pytest.mark.parametrize("sigma", [1.0, 2.5, 4.0])
def test_local_means_are_those_of_a_convolution(shape: tuple[int, int], sigma: float) -> None:
    before, after = torch.randn(2, 3, 1, *shape, dtype=torch.float64) * 30
    radius = min(int(3 * sigma), shape[0] - 1, shape[1] - 1)
    line = torch.exp(-0.5 * (torch.arange(-radius, radius + 1, dtype=torch.float64) / sigma) ** 2)
    kernel = line.outer(line) / line.sum() ** 2
    padded = torch.nn.functional.pad(after - before, (radius,) * 4, mode="reflect")
    expected = after - torch.nn.functional.conv2d(padded, kernel[None, None]) if radius else after
    torch.testing.assert_close(keep_local_means(before, after, sigma), expected, rtol=0, atol=1e-12)


def test_keeping_means_of_an_unchanged_image_changes_nothing() -> None:
    hu = torch.randn(2, 1, 30, 7) * 30
    assert torch.equal(keep_local_means(hu, hu), hu)
    assert torch.equal(keep_local_means(hu[..., :1, :1], hu[..., :1, :1]), hu[..., :1, :1])


def seeing(context: int) -> Denoiser:
    torch.manual_seed(0)
    spec = NetworkSpec("unet", {**SMALL.settings, "slices": 2 * context + 1})
    denoiser = Denoiser(spec, Scale(), context).eval()
    torch.nn.init.normal_(denoiser.network.out.weight, std=0.3)
    return denoiser


def test_without_context_every_step_is_what_it_was() -> None:
    # The steps for a single image, written out.
    denoiser, hu = trained(), torch.randn(2, 1, 45, 61) * 300
    hu[0, 0, 3, 4], hu[1, 0, 8, 8] = 3071.0, -8192.0
    scale, network = denoiser.scale, denoiser.network
    inside = hu.clamp(scale.low, scale.high)
    with torch.inference_mode():
        unit = network(pad_to(scale.encode(inside), network.multiple, network.smallest))
        clean = scale.decode(unit)[..., MARGIN : MARGIN + 45, MARGIN : MARGIN + 61]
        expected = scale.blend(hu, keep_local_means(inside, clean))
    assert torch.equal(denoiser.denoise(hu), expected)


@pytest.mark.parametrize("context", [1, 2])
@pytest.mark.parametrize("shape", [(1, 1), (17, 31), (64, 40)])
def test_what_stays_stays_of_the_middle_slice(context: int, shape: tuple[int, int]) -> None:
    denoiser, hu = seeing(context), torch.randn(2, 2 * context + 1, *shape) * 30
    hu[:, context, 0, 0] = 3071.0
    hu[:, 0] = -3024.0  # outside the range in a neighbour only: nothing is kept for it
    out = denoiser.denoise(hu)
    assert out.shape == (2, 1, *shape)
    assert torch.equal(out[:, 0, 0, 0], hu[:, context, 0, 0])
    if shape != (1, 1):
        assert float((out[:, 0] != hu[:, context]).float().mean()) > 0.5


def test_local_means_are_those_of_the_middle_slice() -> None:
    denoiser, hu = seeing(1), torch.randn(1, 3, 96, 96) * 30
    hu[:, 0] += 400
    hu[:, 2] -= 200
    with torch.inference_mode():
        noise = denoiser.scale.decode(denoiser(denoiser.scale.encode(hu)))[0, 0] - hu[0, 1]
    change = denoiser.denoise(hu)[0, 0] - hu[0, 1]
    inside = (slice(20, -20), slice(20, -20))
    assert abs(float(noise[inside].mean())) > 20 * abs(float(change[inside].mean()))
    assert float(change[inside].std()) > 0.5 * float(noise[inside].std())


def test_a_context_that_does_not_fit_is_refused() -> None:
    for slices, context in ((1, 1), (3, 0), (3, 2), (5, 1), (1, -1)):
        with pytest.raises(IncompatibleCheckpoint, match=f"context {context}: .* takes {slices}"):
            Denoiser(NetworkSpec("unet", {**SMALL.settings, "slices": slices}), Scale(), context)
    with pytest.raises(IncompatibleCheckpoint, match="takes 1"):
        Denoiser(NetworkSpec("red_cnn", {"channels": 2}), Scale(), 1)
    for slices in (1, 2, 5):
        with pytest.raises(ValueError, match="3 slices at a time"):
            seeing(1).denoise(torch.zeros(1, slices, 16, 16))


@pytest.mark.parametrize("noise_free", [False, True])
def test_the_width_of_the_kept_means_is_the_models_own(noise_free: bool) -> None:
    hu = torch.randn(1, 1, 40, 52, generator=torch.Generator().manual_seed(3)) * 50
    usual = trained()
    usual.noise_free = noise_free
    assert usual.local_means_px == (2.5 if noise_free else 4.0)
    stated, none = trained(), trained()
    stated.stated_means_px, none.stated_means_px = usual.local_means_px, 0.0
    for other in (stated, none):
        other.load_state_dict(usual.state_dict())
    assert torch.equal(stated.denoise(hu), usual.denoise(hu))
    # Without them, the result is what the network made of the padded image.
    padded = pad_to(none.scale.encode(hu), none.network.multiple, none.network.smallest)
    with torch.inference_mode():
        plain = none.scale.decode(none(padded))[..., MARGIN : MARGIN + 40, MARGIN : MARGIN + 52]
    torch.testing.assert_close(none.denoise(hu), plain, rtol=0, atol=1e-3)
    assert float((none.denoise(hu) - usual.denoise(hu)).abs().max()) > 1


@pytest.mark.parametrize("width", [-1.0, float("nan"), float("inf")])
def test_a_width_that_is_none_is_refused(width: float) -> None:
    with pytest.raises(InvalidSetting, match="from 0, which keeps none"):
        Denoiser(SMALL, Scale(), stated_means_px=width)
