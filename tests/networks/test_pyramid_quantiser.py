"""The token pyramid: where its layers lie, what a position becomes, where gradients go."""

from __future__ import annotations

import hashlib
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from lowdose.errors import InvalidSetting
from lowdose.networks import pyramid_quantiser
from lowdose.networks.pyramid_quantiser import PyramidQuantiser, positions
from support.reference_pyramid import places, slow_pyramid

POOLS = [[3], [3, 17, 40], [0, 3, 17, 40, 59]]


def drawn(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def sha256(tensor: Tensor) -> str:
    return hashlib.sha256(tensor.detach().numpy().tobytes()).hexdigest()


def test_layers_of_the_paper() -> None:
    rows = [list(range(32))[part] for part in positions(3)]
    assert rows == [[7, 23], [3, 7, 11, 15, 19, 23, 27, 31], list(range(32))]
    assert [layer.numel() for layer in PyramidQuantiser(drawn(0, 9, 4))(drawn(1, 1, 4, 32, 32)).indices] == [
        4,
        64,
        1024,
    ]


@settings(deadline=None)
@given(st.integers(1, 5), st.integers(1, 400))
def test_layers_are_nested_and_a_quarter_of_the_next_on_any_grid(layers: int, side: int) -> None:
    rows = [list(range(side))[part] for part in positions(layers)]
    assert rows[-1] == list(range(side))
    for coarse, fine in pairwise(rows):
        assert set(coarse) <= set(fine)
        assert abs(len(coarse) - len(fine) / 4) < 1
        assert all(b - a == 4 * (fine[1] - fine[0]) for a, b in pairwise(coarse))


@pytest.mark.parametrize(("layers", "smallest"), [(1, 1), (2, 4), (3, 8), (4, 24)])
def test_every_layer_has_a_position_from_the_smallest_latent_on(layers: int, smallest: int) -> None:
    module = PyramidQuantiser(drawn(0, 9, 4), layers)
    assert module.smallest == smallest
    assert len(range(smallest)[positions(layers)[0]]) == 1
    assert all(index.numel() for index in module(drawn(1, 1, 4, smallest, smallest + 5)).indices)
    if smallest > 1:
        with pytest.raises(InvalidSetting, match=f"at least {smallest} x {smallest}"):
            module(drawn(1, 1, 4, smallest, smallest - 1))


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 99), st.integers(1, 2), st.integers(8, 13), st.integers(8, 10), st.sampled_from([0.1, 1.0]))
def test_is_the_pyramid_written_out(seed: int, batch: int, height: int, width: int, scale: float) -> None:
    latents, table = scale * drawn(seed, batch, 5, height, width), scale * drawn(seed + 1, 60, 5)
    out = PyramidQuantiser(table)(latents)
    slow = [slow_pyramid(latent, table, POOLS) for latent in latents]
    for layer in range(3):
        tokens = torch.stack([one["tokens"][layer] for one in slow])
        averages = torch.stack([one["averages"][layer] for one in slow])
        assert torch.equal(out.indices[layer].flatten(1), tokens)
        torch.testing.assert_close(out.averages[layer].flatten(2).mT.double(), averages, rtol=1e-5, atol=1e-6)
        commitment = torch.stack([one["commitment"][layer] for one in slow]).mean()
        assert float(out.commitment[layer]) == pytest.approx(float(commitment), rel=1e-5)
    assert out.semantic is None
    assert out.codebook is None


def test_one_layer_is_plain_vector_quantisation() -> None:
    latents, table = drawn(0, 2, 6, 5, 3), drawn(1, 40, 6)
    out = PyramidQuantiser(table, layers=1)(latents)
    nearest = torch.cdist(latents.flatten(2).mT, table).argmin(-1)
    assert torch.equal(out.indices[0].flatten(1), nearest)
    assert torch.equal(out.embedding.flatten(2).mT, table[nearest])
    torch.testing.assert_close(out.commitment, ((latents - out.embedding) ** 2).mean()[None])


def test_a_position_is_the_mean_of_its_tokens_at_every_layer() -> None:
    latents, table = drawn(2, 1, 6, 32, 32), drawn(3, 80, 6)
    out = PyramidQuantiser(table)(latents)
    so_far: dict[tuple[int, int], list[Tensor]] = {}
    for layer in range(3):
        average = out.averages[layer][0].flatten(1).t()
        for number, place in enumerate(places(layer, 32, 32)):
            so_far.setdefault(place, []).append(table[out.indices[layer].flatten()[number]])
            torch.testing.assert_close(average[number], torch.stack(so_far[place]).mean(0))
    assert sorted({len(tokens) for tokens in so_far.values()}) == [1, 2, 3]
    assert torch.equal(out.embedding, out.averages[-1])


def test_a_latent_that_is_a_token_stays_that_token() -> None:
    table = drawn(4, 80, 6)
    chosen = torch.randint(80, (2, 16, 16), generator=torch.Generator().manual_seed(0))
    out = PyramidQuantiser(table)(table[chosen].movedim(-1, 1))
    for part, index, average in zip(positions(3), out.indices, out.averages, strict=True):
        assert torch.equal(index, chosen[:, part, part])
        torch.testing.assert_close(average, table[index].movedim(-1, 1))
    assert float(out.commitment.max()) < 1e-12


def test_error_of_an_average_is_that_of_its_last_token_over_their_number() -> None:
    latent, table = drawn(5, 6, 32, 32), drawn(6, 80, 6)
    out, slow = PyramidQuantiser(table)(latent[None]), slow_pyramid(latent, table, POOLS)
    number = dict.fromkeys(places(2, 32, 32), 0)
    for layer in range(3):
        average = out.averages[layer][0].flatten(1).t()
        for at, place in enumerate(places(layer, 32, 32)):
            number[place] += 1
            last = table[out.indices[layer].flatten()[at]].double() - slow["residuals"][layer][at]
            error = average[at] - latent[(slice(None), *place)]
            torch.testing.assert_close(error.double(), last / number[place], rtol=0, atol=1e-5)


def test_more_layers_come_nearer_where_tokens_are_dense() -> None:
    latents = drawn(7, 4, 2, 32, 32)
    out = PyramidQuantiser(4 * drawn(8, 4000, 2))(latents)
    coarse = positions(3)[0]
    errors = []
    for average, part in zip(out.averages, positions(3), strict=True):
        grid = torch.full((4, 2, 32, 32), torch.nan)
        grid[..., part, part] = average
        errors.append(float((grid - latents)[..., coarse, coarse].square().mean()))
    assert errors[0] > errors[1] > errors[2]


def test_only_the_positions_of_a_layer_are_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []
    real = pyramid_quantiser.nearest

    def counted(points: Tensor, *rest: Tensor, **options: bool) -> pyramid_quantiser.Nearest:
        sizes.append(len(points))
        return real(points, *rest, **options)

    monkeypatch.setattr(pyramid_quantiser, "nearest", counted)
    PyramidQuantiser(drawn(0, 9, 4))(drawn(1, 1, 4, 32, 32))
    assert sizes == [4, 64, 1024]


def test_gradients_pass_straight_through_to_the_latents() -> None:
    latents, arriving = drawn(9, 2, 6, 9, 8).requires_grad_(), drawn(10, 2, 6, 9, 8)
    out = PyramidQuantiser(drawn(11, 80, 6))(latents)
    (gradient,) = torch.autograd.grad((out.embedding * arriving).sum(), latents)
    assert torch.equal(gradient, arriving)
    assert not any(average.requires_grad for average in out.averages)


def test_commitment_pulls_each_latent_to_its_average_by_layer() -> None:
    latents = drawn(12, 2, 6, 9, 8).requires_grad_()
    out = PyramidQuantiser(drawn(13, 80, 6))(latents)
    for layer, part in enumerate(positions(3)):
        (gradient,) = torch.autograd.grad(out.commitment[layer], latents, retain_graph=True)
        expected = torch.zeros_like(latents)
        average = out.averages[layer]
        expected[..., part, part] = 2 * (latents[..., part, part] - average) / average.numel()
        torch.testing.assert_close(gradient, expected.detach())


def test_a_frozen_codebook_survives_training_and_the_encoder_does_not() -> None:
    encoder, quantiser, decoder = nn.Conv2d(1, 6, 3, padding=1), PyramidQuantiser(drawn(14, 80, 6)), nn.Conv2d(6, 1, 1)
    both = nn.ModuleList([encoder, quantiser, decoder])
    before, first = sha256(quantiser.codebook), encoder.weight.detach().clone()
    assert not list(quantiser.parameters())
    optimiser = torch.optim.AdamW(both.parameters(), lr=0.1, weight_decay=0.1)
    image = drawn(15, 1, 1, 8, 8)
    for _ in range(3):
        out = quantiser(encoder(image), [[torch.tensor(pool) for pool in POOLS]])
        loss = (decoder(out.embedding) - image).square().mean() + out.commitment.sum() + out.semantic
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert sha256(quantiser.codebook) == before
    assert quantiser.codebook.grad is None
    assert not torch.equal(encoder.weight, first)
    alone = torch.autograd.grad(quantiser(encoder(image)).commitment.sum(), list(both.parameters()), allow_unused=True)
    assert [gradient is not None for gradient in alone] == [True, True, False, False]


def test_a_learned_codebook_follows_its_own_loss_alone() -> None:
    latents, table = drawn(16, 2, 6, 5, 4), drawn(17, 30, 6)
    quantiser, seen = PyramidQuantiser(table, layers=1, learned=True), latents.clone().requires_grad_()
    out = quantiser(seen)
    assert out.codebook is not None
    torch.testing.assert_close(out.codebook, out.commitment)
    (out.embedding.sum() + out.commitment.sum()).backward(retain_graph=True)
    assert quantiser.codebook.grad is None
    seen.grad = None
    out.codebook.sum().backward()
    assert seen.grad is None
    slow = table.clone().requires_grad_()
    tokens = slow[torch.cdist(latents.flatten(2).mT, table).argmin(-1)]
    ((latents.flatten(2).mT - tokens) ** 2).mean().backward()
    torch.testing.assert_close(quantiser.codebook.grad, slow.grad)
    with pytest.raises(InvalidSetting, match="its entries are no words"):
        quantiser(latents, [[torch.tensor([1])]] * 2)


def test_a_learned_pyramid_moves_every_token_that_was_averaged() -> None:
    quantiser, latents = PyramidQuantiser(drawn(18, 30, 6), learned=True), drawn(19, 1, 6, 8, 8)
    out = quantiser(latents)
    assert out.codebook is not None
    slow = quantiser.codebook.detach().clone().requires_grad_()
    chosen: dict[tuple[int, int], list[int]] = {}
    expected = torch.zeros(())
    for layer in range(3):
        errors = []
        for number, place in enumerate(places(layer, 8, 8)):
            tokens = chosen.setdefault(place, [])
            tokens.append(int(out.indices[layer].flatten()[number]))
            errors.append((latents[(0, slice(None), *place)] - slow[tokens].mean(0)).square().mean())
        expected = expected + torch.stack(errors).mean()
    expected.backward()
    out.codebook.sum().backward()
    torch.testing.assert_close(quantiser.codebook.grad, slow.grad)


def test_images_of_a_batch_do_not_influence_each_other() -> None:
    quantiser, latents = PyramidQuantiser(drawn(20, 200, 6)), drawn(21, 3, 6, 9, 10)
    together = quantiser(latents)
    for image in range(3):
        alone = quantiser(latents[image : image + 1])
        assert torch.equal(together.embedding[image], alone.embedding[0])
        assert all(torch.equal(a[image], b[0]) for a, b in zip(together.indices, alone.indices, strict=True))


def test_same_bytes_twice() -> None:
    quantiser, latents = PyramidQuantiser(drawn(22, 200, 6)), drawn(23, 2, 6, 9, 10)
    pools = [[torch.tensor(pool) for pool in POOLS]] * 2
    gradients = []
    for _ in range(2):
        seen = latents.clone().requires_grad_()
        out = quantiser(seen, pools)
        (out.embedding.sum() + out.commitment.sum() + out.semantic).backward()
        gradients.append(seen.grad)
    assert torch.equal(*gradients)


def test_autocast_does_not_reach_the_distances() -> None:
    quantiser, latents = PyramidQuantiser(drawn(24, 500, 16)), drawn(25, 1, 16, 16, 16)
    pools = [[torch.tensor(pool) for pool in POOLS]]
    plain = quantiser(latents, pools)
    with torch.autocast("cpu", torch.bfloat16):
        cast, halved = quantiser(latents, pools), quantiser(latents.bfloat16(), pools)
    assert all(torch.equal(a, b) for a, b in zip(plain.indices, cast.indices, strict=True))
    assert torch.equal(plain.semantic, cast.semantic)
    assert torch.equal(plain.embedding, cast.embedding)
    rounded = quantiser(latents.bfloat16().float(), pools)
    assert halved.embedding.dtype == torch.float32
    assert torch.equal(halved.embedding, rounded.embedding)


def test_a_frozen_codebook_is_no_weight_but_goes_along_to_a_device() -> None:
    table = drawn(26, 30, 6)
    quantiser = PyramidQuantiser(table)
    assert not quantiser.state_dict()
    assert torch.equal(quantiser.codebook, table)
    assert quantiser.double().codebook.dtype == torch.float64
    assert quantiser.to("meta").codebook.device.type == "meta"
    learned = PyramidQuantiser(table, learned=True).state_dict()
    assert torch.equal(learned["codebook"], table)
    other = PyramidQuantiser(torch.zeros(30, 6), learned=True)
    other.load_state_dict(learned)
    latents = drawn(27, 1, 6, 8, 8)
    assert torch.equal(other(latents).embedding, PyramidQuantiser(table)(latents).embedding)


def test_the_callers_table_is_copied() -> None:
    table = drawn(28, 30, 6)
    quantiser = PyramidQuantiser(table)
    before = sha256(quantiser.codebook)
    table.zero_()
    assert sha256(quantiser.codebook) == before


@pytest.mark.parametrize(
    ("shape", "message"),
    [((6, 8, 8), r"\(6, 8, 8\)"), ((1, 5, 8, 8), r"needs \(batch, 6, H, W\)"), ((0, 6, 8, 8), r"\(0, 6, 8, 8\)")],
)
def test_latents_of_another_shape_are_refused(shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(InvalidSetting, match=message):
        PyramidQuantiser(drawn(0, 30, 6))(torch.zeros(shape))


def test_latents_that_are_no_numbers_are_refused() -> None:
    latents = drawn(0, 1, 6, 8, 8)
    latents[0, 2, 1, 1] = torch.nan
    with pytest.raises(InvalidSetting, match="1 of 64 latent positions hold NaN"):
        PyramidQuantiser(drawn(0, 30, 6))(latents)


def test_codebooks_that_are_none_are_refused() -> None:
    for wrong in (torch.zeros(3), torch.zeros(0, 4), torch.zeros(4, 3, dtype=torch.int64)):
        with pytest.raises(InvalidSetting, match="tokens, channels"):
            PyramidQuantiser(wrong)
    with pytest.raises(InvalidSetting, match="NaN or infinity"):
        PyramidQuantiser(torch.full((3, 3), torch.inf))
    with pytest.raises(InvalidSetting, match="at least 1"):
        PyramidQuantiser(torch.zeros(3, 3), layers=0)
    with pytest.raises(InvalidSetting, match="float32 and use autocast"):
        PyramidQuantiser(torch.zeros(3, 3), layers=1).half()(torch.zeros(1, 3, 1, 1))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_gives_the_same() -> None:
    table, latents = 0.02 * drawn(29, 5003, 64), 0.02 * drawn(30, 2, 64, 32, 32)
    pools = [[torch.tensor(pool) for pool in POOLS]] * 2
    results, gradients = [], []
    for device in ("cpu", "cuda"):
        seen = latents.to(device).requires_grad_()
        out = PyramidQuantiser(table).to(device)(seen, pools)
        (out.commitment.sum() + out.semantic).backward()
        results.append(out)
        gradients.append(seen.grad.cpu())
    assert all(torch.equal(a, b.cpu()) for a, b in zip(results[0].indices, results[1].indices, strict=True))
    torch.testing.assert_close(gradients[1], gradients[0], rtol=1e-4, atol=1e-5 * float(gradients[0].abs().max()))


def test_compatibility_with_the_released_code() -> None:
    """Same words and same last average; earlier averages by the final count, commitment over the whole grid."""
    table, z = drawn(0, 60, 8), drawn(1, 2, 8, 16, 16).requires_grad_(True)
    paper, released = PyramidQuantiser(table)(z), PyramidQuantiser(table, compat="released")(z)
    assert all(torch.equal(one, two) for one, two in zip(paper.indices, released.indices, strict=True))
    assert torch.equal(paper.embedding, released.embedding)
    partial, counts = torch.zeros_like(z), torch.zeros(16, 16)
    for part in positions(3):
        counts[part, part] += 1
    for layer, part in enumerate(positions(3)):
        mask = torch.zeros(16, 16)
        mask[part, part] = 1
        partial[..., part, part] += table[released.indices[layer]].movedim(-1, 1)
        wanted = (partial / counts - z * mask).square().mean()
        torch.testing.assert_close(released.commitment[layer], wanted)
        torch.testing.assert_close(released.averages[layer], (partial / counts)[..., part, part])
    with pytest.raises(InvalidSetting, match="compat 'mine': choose one of paper, released"):
        PyramidQuantiser(table, compat="mine")
