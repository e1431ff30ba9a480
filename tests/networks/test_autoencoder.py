"""The autoencoder around its quantiser: sizes, units, sharpness, and what it refuses."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from lowdose.errors import InvalidSetting
from lowdose.hounsfield import OBJECTIVE
from lowdose.networks.autoencoder import Autoencoder
from lowdose.networks.pyramid_quantiser import positions
from support.reference_pyramid import slow_pyramid, squared

WORDS, CHANNELS = 60, 5
POOLS = [[3], [3, 17, 40], [0, 3, 17, 40, 59]]


def table(length: float = 1.0, seed: int = 0) -> Tensor:
    drawn = torch.randn(WORDS, CHANNELS, generator=torch.Generator().manual_seed(seed))
    return length * nn.functional.normalize(drawn, dim=1)


def made(sharpness: float = 1.0, length: float = 1.0, layers: int = 3, learned: bool = False) -> Autoencoder:
    torch.manual_seed(1)
    return Autoencoder("small", table(length), layers, sharpness, learned)


def latents(scale: float = 1.0) -> Tensor:
    return scale * torch.randn(1, CHANNELS, 8, 9, generator=torch.Generator().manual_seed(2))


def test_512_x_512_are_4_and_64_and_1024_words() -> None:
    with torch.inference_mode():
        found = made().quantise(made().encode(torch.rand(1, 1, 512, 512)))
    assert [index.numel() for index in found.indices] == [4, 64, 1024]
    assert [index.shape[-1] for index in found.indices] == [2, 8, 32]
    assert all(0 <= int(index.min()) <= int(index.max()) < WORDS for index in found.indices)
    assert found.embedding.shape == (1, CHANNELS, 32, 32)


def test_the_small_size_with_the_shipped_words_has_at_most_4_million_parameters() -> None:
    network = Autoencoder("small", torch.randn(100, 384))
    assert sum(parameter.numel() for parameter in network.parameters()) <= 4_000_000
    assert not [name for name in network.state_dict() if "codebook" in name]


@pytest.mark.parametrize("size", ["small", "paper", "released"])
def test_an_image_comes_back_in_its_size(size: str) -> None:
    network = Autoencoder(size, table(), layers=1)
    assert (network.stride, network.multiple, network.smallest) == (16, 16, 16)
    with torch.inference_mode():
        image, found = network(torch.rand(2, 1, 32, 48))
    assert image.shape == (2, 1, 32, 48)
    assert found.indices[0].shape == (2, 2, 3)
    assert made().smallest == 128


@pytest.mark.parametrize("shape", [(1, 1, 128, 136), (1, 1, 130, 128), (1, 128, 128), (1, 2, 128, 128), (128, 128)])
def test_an_image_that_does_not_fit_is_named(shape: tuple[int, ...]) -> None:
    with pytest.raises(
        InvalidSetting, match=r"image of shape \({}\).*multiples of 16".format(", ".join(map(str, shape)))
    ):
        made().encode(torch.zeros(shape))


def test_settings_that_cannot_be() -> None:
    with pytest.raises(InvalidSetting, match="size 'large': choose one of small, paper, released"):
        Autoencoder("large", table())
    for wrong in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(InvalidSetting, match="sharpness"):
            Autoencoder("small", table(), sharpness=wrong)
    with pytest.raises(InvalidSetting, match="need at least 8 x 8"):
        made().quantise(torch.zeros(1, CHANNELS, 7, 8))


@pytest.mark.parametrize("sharpness", [0.2, 1.0, 15.0])
def test_equation_1_is_a_softmax_of_minus_sharpness_times_the_squared_distance(sharpness: float) -> None:
    network, z = made(sharpness), latents(0.5)
    seen = z.clone().requires_grad_()
    found = network.quantise(seen, [[torch.tensor(pool) for pool in POOLS]])
    exact = z[0].double().requires_grad_()
    slow = slow_pyramid(exact, table(), POOLS)
    losses = []
    for residuals, pool in zip(slow["residuals"], POOLS, strict=True):
        rows = []
        for residual in residuals:
            scores = torch.exp(-sharpness * squared(residual, table().double()))
            rows += [torch.stack([-torch.log(scores[candidate] / scores.sum()) for candidate in pool]).mean()]
        losses.append(torch.stack(rows).mean())
    assert float(found.semantic.detach()) == pytest.approx(float(torch.stack(losses).mean().detach()), rel=1e-5)
    (gradient,) = torch.autograd.grad(found.semantic, seen)
    (wanted,) = torch.autograd.grad(torch.stack(losses).mean(), exact)
    torch.testing.assert_close(gradient[0].double(), wanted, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("sharpness", [0.2, 7.0])
def test_latents_embeddings_and_commitment_are_in_the_units_of_the_words(sharpness: float) -> None:
    network, plain, z = made(sharpness), made(1.0), latents()
    found, wanted = network.quantise(z), plain.quantise(z)
    torch.testing.assert_close(network.codebook, table())
    assert all(torch.equal(a, b) for a, b in zip(found.indices, wanted.indices, strict=True))
    torch.testing.assert_close(found.embedding, wanted.embedding)
    torch.testing.assert_close(found.averages, wanted.averages)
    torch.testing.assert_close(found.commitment, wanted.commitment)
    slow = slow_pyramid(z[0], table(), POOLS)
    torch.testing.assert_close(found.commitment.double(), torch.stack(slow["commitment"]), rtol=1e-5, atol=0)
    seen = z.clone().requires_grad_()
    arriving = torch.randn_like(z)
    (gradient,) = torch.autograd.grad((network.quantise(seen).embedding * arriving).sum(), seen)
    torch.testing.assert_close(gradient, arriving)


def test_the_error_of_the_pyramid_is_that_of_its_last_token_over_their_number() -> None:
    network, z = made(9.0), latents()
    found, slow = network.quantise(z), slow_pyramid(z[0], table(), POOLS)
    number = torch.zeros(8, 9)
    for part in positions(3):
        number[part, part] += 1
    last = table()[found.indices[-1][0]].movedim(-1, 0)
    residual = slow["residuals"][-1].reshape(8, 9, CHANNELS).movedim(-1, 0)
    wanted = (last - residual).norm(dim=0) / number
    torch.testing.assert_close((found.embedding - z)[0].norm(dim=0).double(), wanted, rtol=1e-4, atol=1e-6)


def test_a_learned_codebook_is_trained_in_its_own_units() -> None:
    one, other = made(1.0, layers=1, learned=True), made(9.0, layers=1, learned=True)
    z = latents()
    values, pulls = [], []
    for network in (one, other):
        found = network.quantise(z)
        assert found.codebook is not None
        values.append(found.codebook.detach())
        found.codebook.sum().backward()
        pulls.append(network.quantiser.codebook.grad)
    torch.testing.assert_close(*values)
    torch.testing.assert_close(pulls[0], 3 * pulls[1])  # of numbers three times as large
    assert "quantiser.codebook" in one.state_dict()
    torch.testing.assert_close(other.codebook, table())


@pytest.mark.parametrize("length", [0.02, 1.0, 30.0])
def test_it_starts_with_latents_of_the_words_size_and_features_of_size_1(length: float) -> None:
    torch.manual_seed(0)
    words = length * nn.functional.normalize(torch.randn(200, 64), dim=1)
    network = Autoencoder("small", words, layers=1)
    features = nn.functional.silu(torch.randn(4, 144, 20, 20))
    assert float(network.to_words(features).detach().square().mean().sqrt()) == pytest.approx(length / 8, rel=0.1)
    chosen = words[torch.randint(200, (4, 20, 20))].movedim(-1, 1)
    assert float(network.from_words(chosen).detach().square().mean()) == pytest.approx(1.0, rel=0.2)
    assert float(nn.functional.silu(torch.randn(10**6)).square().mean()) == pytest.approx(0.36, abs=0.01)


def test_half_precision_does_not_reach_the_words() -> None:
    network, image = made(), torch.rand(1, 1, 128, 128)
    with torch.autocast("cpu", torch.bfloat16), torch.inference_mode():
        made_image, found = network(image)
        assert network.encode(image).dtype == found.embedding.dtype == made_image.dtype == torch.float32
    distances = torch.cdist(found.embedding.flatten(2)[0].T.float(), table())
    alone = torch.ones(8, 8, dtype=torch.bool)
    alone[positions(2)[0], positions(2)[0]] = False
    assert float(distances.amin(1)[alone.flatten()].max()) < 1e-3  # to the last bits a word


def test_equally_far_from_all_words_eq_1_is_the_logarithm_of_their_number() -> None:
    flat = Autoencoder("small", table(), layers=1, sharpness=15.0)  # the middle of words of one length
    loss = flat.quantise(torch.zeros(1, CHANNELS, 2, 2), [[torch.tensor([4, 9])]]).semantic
    assert float(loss) == pytest.approx(math.log(WORDS), rel=1e-6)


def test_windows_are_seen_beside_the_image() -> None:
    seen = Autoencoder("local", torch.randn(40, 6), layers=1)
    hu = torch.tensor([-1000.0, -160.0, 40.0, 140.0, 240.0, 2000.0]).view(1, 1, 1, 6)
    (window,) = seen.windowed(OBJECTIVE.encode(hu))
    torch.testing.assert_close(window.flatten(), torch.tensor([-1.0, -1.0, 0.0, 0.5, 1.0, 1.0]), rtol=0, atol=1e-4)
    assert not Autoencoder("small", torch.randn(40, 6), layers=1).windowed(OBJECTIVE.encode(hu))


@pytest.mark.parametrize("length", [0.45, 20.0])
def test_the_units_of_the_words_do_not_change_what_is_computed(length: float) -> None:
    image = torch.rand(1, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    directions = torch.nn.functional.normalize(
        torch.randn(40, 6, generator=torch.Generator().manual_seed(1)), dim=1
    )  # fmt: skip
    one, other = (Autoencoder("local", scale * directions, layers=1, sharpness=1.0) for scale in (1.0, length))
    other.load_state_dict(one.state_dict())
    with torch.inference_mode():
        first, second = one.encode(image), other.encode(image)
        torch.testing.assert_close(second, length * first)
        torch.testing.assert_close(one.decode(first), other.decode(second))


def test_organs_are_told_by_the_size_that_learns_them() -> None:
    local, small = (Autoencoder(size, torch.randn(40, 6), layers=2) for size in ("local", "small"))
    image = torch.rand(1, 1, 64, 96)
    with torch.inference_mode():
        latents, logits = local.encode_with_organs(image)
        torch.testing.assert_close(local.encode(image), latents)
    assert logits.shape == (1, 50, 4, 6)
    with pytest.raises(InvalidSetting, match="size 'small' does not tell organs apart"):
        small.encode_with_organs(image)
