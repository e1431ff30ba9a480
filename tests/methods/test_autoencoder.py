"""LEDA's Eq. 2 as written, in which turns it is taken, and what each of them moves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from lowdose.batch import CandidateTokenBatch
from lowdose.hounsfield import OBJECTIVE
from lowdose.methods.autoencoder import GuidedAutoencoder, semantic_weight
from lowdose.methods.autoencoder_weights import Weights
from lowdose.methods.base import Update
from lowdose.networks.autoencoder import Autoencoder
from lowdose.networks.discriminator import adaptive_weight, patch_gan
from lowdose.objectives.local_texture import LocalTexture
from support.reference_pyramid import slow_pyramid
from support.tiny_autoencoder_training import CHANNELS, WORDS, Blurred, vocabulary, with_a_tiny_size
from support.tiny_word_autoencoder import hash_of

tiny = pytest.fixture(autouse=True, name="tiny")(with_a_tiny_size)
POOLS = ([[3], [3, 7, 4], [3, 7, 4, 9, 11]], [[5, 6], [5, 6, 1], [5, 6, 1, 0]])
SHARPNESS = 4.0


def method(weights: Weights, layers: int = 3, learned: bool = False, sharpness: float = SHARPNESS) -> GuidedAutoencoder:
    torch.manual_seed(0)
    autoencoder = Autoencoder("tiny", 0.5 * vocabulary().embeddings, layers, sharpness, learned)
    return GuidedAutoencoder(autoencoder, patch_gan(width=4), Blurred(), weights)


def batch(side: int = 128, layers: int = 3) -> CandidateTokenBatch:
    hu = 300 * torch.randn(2, 1, side, side, generator=torch.Generator().manual_seed(1))
    hu[0, 0, :9], hu[1, 0, -9:] = 5000.0, -3000.0
    pools = [per_layer[-layers:] for per_layer in POOLS]
    return CandidateTokenBatch(
        hu,
        torch.tensor([token for per_layer in pools for token in per_layer[-1]]),
        torch.tensor([[len(pool) for pool in per_layer] for per_layer in pools]),
    )


def gradients(terms: Mapping[str, Tensor], network: nn.Module) -> list[Tensor]:
    found = torch.autograd.grad(
        torch.stack(list(terms.values())).sum(), list(network.parameters()), retain_graph=True, allow_unused=True
    )
    return [torch.zeros(()) if one is None else one for one in found]


def test_pools_of_a_batch() -> None:
    pools = batch().pools()
    assert [[pool.tolist() for pool in per_layer] for per_layer in pools] == [list(map(list, one)) for one in POOLS]
    for per_layer in pools:
        assert set(per_layer[0].tolist()) <= set(per_layer[1].tolist()) <= set(per_layer[2].tolist())


def slow_semantic(residuals: list[Tensor], pools: list[list[int]], words: Tensor) -> Tensor:
    layers = []
    for layer, pool in zip(residuals, pools, strict=True):
        scores = torch.exp(-SHARPNESS * ((layer[:, None] - words) ** 2).sum(-1))
        layers.append(-(scores[:, pool] / scores.sum(1, keepdim=True)).log().mean())
    return torch.stack(layers).mean()


def test_equation_2_written_out_slowly() -> None:
    weights = Weights(semantic=0.3, commitment=0.4, adversarial=0.1, perceptual=0.2)
    made_of, data = method(weights), batch()
    turn = next(made_of.updates(data))
    terms = dict(turn.terms)
    assert (turn.module, turn.reset_optimiser) == ("autoencoder", False)
    assert list(terms) == ["reconstruction", "perceptual", "commitment", "adversarial", "semantic"]
    image = (data.hu.clamp(-1000, 2000) + 1000) / 3000
    network = made_of.autoencoder
    z = network.encode(image)
    words = 0.5 * vocabulary().embeddings
    slow = [slow_pyramid(latent, words, pools) for latent, pools in zip(z, POOLS, strict=True)]
    read = torch.stack([one["averages"][-1].T.reshape(CHANNELS, 8, 8).float() for one in slow])
    # The decoder's gradient passes the quantiser as if it were not there.
    made = network.decode(read + (z - z.detach()))
    vqgan = {
        "reconstruction": ((image - made) ** 2).mean(),
        "perceptual": 0.2 * Blurred()(made, image),
        "commitment": 0.4 * sum(torch.stack([one["commitment"][layer] for one in slow]).mean() for layer in range(3)),
    }
    fooled = -made_of.discriminator(made).mean()
    last = network.decoder[-2].weight
    vqgan["adversarial"] = 0.1 * adaptive_weight(vqgan["reconstruction"] + vqgan["perceptual"], fooled, last) * fooled
    for name, value in vqgan.items():
        assert float(terms[name].detach()) == pytest.approx(float(value.detach()), rel=1e-3), name
    semantic = torch.stack(
        [
            slow_semantic(one["residuals"], pools, words.double())
            for one, pools in zip(slow, POOLS, strict=True)
        ]
    ).mean()  # fmt: skip
    total = sum(float(value.detach()) for value in vqgan.values())
    assert float(terms["semantic"].detach()) == pytest.approx(0.3 * total, rel=1e-3)
    # Neither weight hands a gradient on: what moves is L_VQGAN, and L_semantic times a number.
    wanted = gradients({**vqgan, "semantic": 0.3 * total / float(semantic.detach()) * semantic}, network)
    found = gradients(terms, network)
    assert sum(bool(one.any()) for one in wanted) > 20
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(
            one, other, rtol=5e-3, atol=1e-5 * float(torch.cat([w.flatten() for w in wanted]).abs().max())
        )


def test_omega_times_the_semantic_loss_is_the_rest_and_a_constant() -> None:
    parts = {"a": torch.tensor(2.0, requires_grad=True), "b": torch.tensor(1.5, requires_grad=True)}
    semantic = torch.tensor(7.0, requires_grad=True)
    omega = semantic_weight(parts, semantic)
    assert float((omega * semantic).detach()) == pytest.approx(3.5)
    assert not omega.requires_grad
    # An adversary that is fooled well must not turn meaning around.
    assert float(semantic_weight({"a": torch.tensor(-2.0)}, semantic)) == 0.0
    assert bool(semantic_weight(parts, torch.tensor(0.0)).isfinite())


def test_the_discriminators_turn() -> None:
    made_of, data = method(Weights()), batch()
    _, second = made_of.updates(data)
    assert (second.module, list(second.terms)) == ("discriminator", ["hinge"])
    image = OBJECTIVE.encode(data.hu.clamp(-1000, 2000))
    made, _ = made_of.autoencoder(image)
    real, fake = made_of.discriminator(image), made_of.discriminator(made.detach())
    wanted = 0.5 * ((1 - real).clamp(min=0).mean() + (1 + fake).clamp(min=0).mean())
    torch.testing.assert_close(second.terms["hinge"], wanted)
    assert all(not one.any() for one in gradients(second.terms, made_of.autoencoder))
    assert any(one.any() for one in gradients(second.terms, made_of.discriminator))


def steps(made_of: GuidedAutoencoder, count: int, data: CandidateTokenBatch) -> list[list[Update]]:
    return [list(made_of.updates(data)) for _ in range(count)]


def names(turns: list[Update]) -> list[tuple[str, list[str]]]:
    return [(turn.module, list(turn.terms)) for turn in turns]


FIDELITY = ["reconstruction", "perceptual"]


def test_first_no_words_then_words_then_the_adversary() -> None:
    made_of, data = method(Weights(soft_steps=4, adversarial_start=6), layers=1), batch(32, 1)
    seen, taken = [], []
    for turns in steps(made_of, 8, data):
        seen.append(names(turns))
        taken.append([turn.reset_optimiser for turn in turns])
    words = [*FIDELITY, "commitment", "semantic"]
    both = [("autoencoder", [*FIDELITY, "commitment", "adversarial", "semantic"]), ("discriminator", ["hinge"])]
    assert seen == [[("autoencoder", FIDELITY)]] * 4 + [[("autoencoder", words)]] * 2 + [both] * 2
    assert [one[0] for one in taken] == [False] * 4 + [True] + [False] * 3
    # The second half of the soft steps is kept in mind, words are counted from the first of them on.
    assert int(made_of.spread.count) == 2 * 2 * 2 * 2
    assert (int(made_of.spread.steps), made_of.use.steps) == (8, 4)
    assert set(made_of.extra_metrics()) > {"tokens/semantic", "tokens/explained"}


def test_when_words_begin_latents_match_the_words_and_images_do_not_change() -> None:
    made_of, data = method(Weights(soft_steps=2, adversarial=0.0), layers=1), batch(64, 1)
    image = OBJECTIVE.encode(data.hu.clamp(-1000, 2000))
    steps(made_of, 2, data)
    with torch.no_grad():
        before = made_of.autoencoder.decode(made_of.autoencoder.encode(image))
    assert next(made_of.updates(data)).reset_optimiser
    with torch.no_grad():
        latents = made_of.autoencoder.encode(image)
        torch.testing.assert_close(made_of.autoencoder.decode(latents), before, rtol=1e-3, atol=1e-3)
    found, words = latents.movedim(1, -1).flatten(0, 2), made_of.autoencoder.codebook
    torch.testing.assert_close(found.mean(0), words.mean(0), rtol=0, atol=1e-2)
    assert float(torch.cov(found.T).trace() / torch.cov(words.T).trace()) == pytest.approx(1.0, rel=0.1)


def test_without_soft_steps_weights_are_left_as_they_are() -> None:
    made_of = method(Weights(soft_steps=0), layers=1)
    before = hash_of(made_of.autoencoder)
    assert not any(turn.reset_optimiser for turns in steps(made_of, 2, batch(32, 1)) for turn in turns)
    assert hash_of(made_of.autoencoder) == before


@pytest.mark.parametrize("off", ["semantic", "perceptual", "adversarial"])
def test_what_weighs_nothing_is_left_out(off: str) -> None:
    made_of = method(replace(Weights(), **{off: 0.0}), layers=1)
    turns = list(made_of.updates(batch(32, 1)))
    assert off not in turns[0].terms
    assert made_of.perceptual.asked == (off != "perceptual")
    assert len(turns) == (1 if off == "adversarial" else 2)
    assert ("tokens/semantic" in made_of.extra_metrics()) == (off != "semantic")


def test_weights_weigh_their_terms() -> None:
    one, two = (
        next(method(Weights(0.3, scale, scale, scale), layers=1).updates(batch(32, 1))).terms for scale in (0.1, 0.2)
    )
    assert torch.equal(one["reconstruction"], two["reconstruction"])
    for name in ("commitment", "perceptual"):
        torch.testing.assert_close(two[name], 2 * one[name])
    assert abs(float(two["adversarial"])) > abs(float(one["adversarial"]))


def test_a_plain_vqgan_has_its_codebook_loss_and_no_words() -> None:
    made_of = method(Weights(), layers=1, learned=True)
    turn = next(made_of.updates(batch(32, 1)))
    assert list(turn.terms) == [*FIDELITY, "commitment", "codebook", "adversarial"]
    torch.testing.assert_close(turn.terms["codebook"], turn.terms["commitment"] / 0.3)
    (pull,) = torch.autograd.grad(turn.terms["codebook"], made_of.autoencoder.quantiser.codebook, retain_graph=True)
    assert bool(pull.any())
    assert "autoencoder" in made_of.checkpointed_modules()
    assert "quantiser.codebook" in made_of.checkpointed_modules()["autoencoder"].state_dict()


def test_what_a_checkpoint_holds() -> None:
    made_of = method(Weights())
    assert list(made_of.trained_modules()) == ["autoencoder", "discriminator"]
    assert list(made_of.checkpointed_modules()) == ["autoencoder", "discriminator", "use", "spread"]
    kept = [name for module in made_of.checkpointed_modules().values() for name in module.state_dict()]
    assert not [name for name in kept if "codebook" in name or "kernel" in name]
    assert made_of.use.counts.shape == (3, len(WORDS))
    assert made_of.model is made_of.autoencoder


def noisy_batch(sd: float = 40.0) -> CandidateTokenBatch:
    plain = batch(64, 1)
    noise = sd * torch.randn(2, 2, 64, 64, generator=torch.Generator().manual_seed(3))
    return plain._replace(noise=noise)


def test_terms_of_texture_written_out() -> None:
    weights = Weights(
        semantic=0.5, commitment=0.4, adversarial=0.0, perceptual=0.2, image=3.0, texture=0.7, invariance=0.6,
        margin=0.1, token_margin=0.2, balanced=False,
    )  # fmt: skip
    made_of, data = method(weights, layers=1), noisy_batch()
    (turn,) = made_of.updates(data)
    terms = {name: float(value.detach()) for name, value in turn.terms.items()}
    network = made_of.autoencoder
    smooth, first, second = (
        OBJECTIVE.encode((data.hu + noise).clamp(-1000, 2000))
        for noise in (torch.zeros(()), data.noise[:, :1], data.noise[:, 1:])
    )
    z = [network.encode(image) for image in (smooth, first, second)]
    quantised = [network.quantise(latents) for latents in z]
    made = network.decode(quantised[1].embedding)

    def ratio(a: Tensor, b: Tensor, c: Tensor) -> float:
        return float(2 * ((b - c) ** 2).sum() / (((b - a) ** 2).sum() + ((c - a) ** 2).sum()))

    assert terms == {
        "reconstruction": pytest.approx(3.0 * float(((made - smooth) ** 2).mean()), rel=1e-4),  # without the noise
        "texture": pytest.approx(0.7 * float(LocalTexture()(made, first)), rel=1e-4),  # with it
        "perceptual": pytest.approx(0.2 * float(Blurred()(made, first)), rel=1e-4),
        "commitment": pytest.approx(0.4 * float(quantised[1].commitment.sum()), rel=1e-4),
        "semantic": pytest.approx(0.5 * float(network.quantise(z[1], data.pools()).semantic), rel=1e-4),  # no omega
        "invariance": pytest.approx(0.6 * max(0.0, ratio(*z) - 0.1), rel=1e-3),
        "token_invariance": pytest.approx(0.6 * max(0.0, ratio(*(one.embedding for one in quantised)) - 0.2), rel=1e-3),
    }


def test_invariance_is_trained_before_there_are_words_and_left_out_without_noise() -> None:
    made_of = method(Weights(soft_steps=1, invariance=0.5, adversarial=0.0), layers=1)
    soft, hard = steps(made_of, 2, noisy_batch())
    assert "invariance" in soft[0].terms
    assert {"invariance", "token_invariance"} <= set(hard[0].terms)
    plain = method(Weights(invariance=0.5, adversarial=0.0), layers=1)
    assert not {"invariance", "token_invariance"} & set(next(plain.updates(batch(64, 1))).terms)


def test_the_term_of_the_organs_is_a_cross_entropy_over_all_images() -> None:
    torch.manual_seed(0)
    network = Autoencoder("local", 0.5 * vocabulary().embeddings, 1, SHARPNESS)
    made_of = GuidedAutoencoder(network, patch_gan(width=4), Blurred(), Weights(organs=0.3, adversarial=0.0))
    shares = torch.softmax(torch.randn(2, 50, 4, 4, generator=torch.Generator().manual_seed(2)), 1)
    data = noisy_batch()._replace(organs=shares)
    (turn,) = made_of.updates(data)
    slow = []
    for noise in (torch.zeros(()), data.noise[:, :1], data.noise[:, 1:]):
        logits = network.encode_with_organs(OBJECTIVE.encode((data.hu + noise).clamp(-1000, 2000)))[1]
        slow.append(-(shares * logits.log_softmax(1)).sum(1).mean())
    assert float(turn.terms["organs"].detach()) == pytest.approx(0.3 * float(torch.stack(slow).mean()), rel=1e-4)
    assert "organs" not in next(made_of.updates(noisy_batch())).terms
