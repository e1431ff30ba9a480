"""Which tokens are in use, and when a training has collapsed."""

from __future__ import annotations

import math

import pytest
import torch

from lowdose.errors import TrainingDiverged
from lowdose.methods.token_use import PATIENCE, TokenUsage

IMAGE = torch.linspace(0, 1, 64).reshape(1, 1, 8, 8)


def used(*layers: list[int], steps: int = 1, made: torch.Tensor = IMAGE, semantic: float | None = None) -> TokenUsage:
    use = TokenUsage(50, len(layers))
    for _ in range(steps):
        loss = None if semantic is None else torch.tensor(semantic)
        use.add([torch.tensor(tokens)[None] for tokens in layers], IMAGE, made, loss)
    return use


def test_perplexity_is_the_number_of_tokens_used_alike() -> None:
    told = used([7, 7, 7], list(range(10)) * 3, [1, 2, 2, 2]).extra_metrics()
    assert told["tokens/perplexity_1"] == pytest.approx(1.0)
    assert told["tokens/perplexity_2"] == pytest.approx(10.0)
    assert told["tokens/perplexity_3"] == pytest.approx(math.exp(-(0.25 * math.log(0.25) + 0.75 * math.log(0.75))))
    assert [told[f"tokens/in_use_{layer}"] for layer in (1, 2, 3)] == [1, 10, 2]


def test_before_the_first_word_there_is_nothing_to_tell() -> None:
    assert TokenUsage(50, 3).extra_metrics() == {}
    assert "tokens/semantic" not in used([1]).extra_metrics()


def test_what_comes_back_is_told_as_a_share_of_the_variance() -> None:
    for made, share in ((IMAGE, 1.0), (torch.full_like(IMAGE, 0.5), 0.0), (0.5 + 0.5 * (IMAGE - 0.5), 0.75)):
        assert used([1], made=made).extra_metrics()["tokens/explained"] == pytest.approx(share, abs=1e-6)


def test_what_is_long_past_is_forgotten() -> None:
    use = used([3], semantic=9.0)
    for _ in range(49):
        use.add([torch.tensor([4])], IMAGE, IMAGE, torch.tensor(1.0))
    assert use.extra_metrics()["tokens/in_use_1"] == 2
    for _ in range(2):
        use.add([torch.tensor([4])], IMAGE, IMAGE, torch.tensor(1.0))
    told = use.extra_metrics()
    assert told["tokens/in_use_1"] == 1
    shares = [0.98 ** (51 - n) for n in range(52)]
    assert told["tokens/semantic"] == pytest.approx((9 * shares[0] + sum(shares[1:])) / sum(shares), rel=1e-5)


def test_the_mean_of_equation_1_is_told_unweighed() -> None:
    assert used([1], semantic=2.5, steps=3).extra_metrics()["tokens/semantic"] == pytest.approx(2.5)


def test_a_collapse_ends_the_training_with_advice() -> None:
    variety = list(range(20))
    early = used(variety, [3, 3, 3], steps=PATIENCE - 1)
    assert early.extra_metrics()["tokens/perplexity_2"] == pytest.approx(1.0)
    with pytest.raises(TrainingDiverged, match=r"one of 1\.0 tokens.*smaller semantic_weight or commitment_weight"):
        used(variety, [3, 3, 3], steps=PATIENCE).extra_metrics()
    with pytest.raises(TrainingDiverged, match=r"after 400 steps 0% of .*smaller learning_rate, or a later adversar"):
        used(variety, steps=PATIENCE, made=torch.full_like(IMAGE, 0.5)).extra_metrics()
    # Coarse layers have few positions and may well share a word.
    assert used([3, 3], variety, steps=PATIENCE, made=0.5 + 0.5 * (IMAGE - 0.5)).extra_metrics()


def test_counts_travel_with_the_run() -> None:
    one, other = used([1, 2], [3, 4], steps=4, semantic=1.5), TokenUsage(50, 2)
    other.load_state_dict(one.state_dict())
    assert other.extra_metrics() == one.extra_metrics()
    assert other.steps == 4
