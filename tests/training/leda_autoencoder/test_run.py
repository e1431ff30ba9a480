"""Training LEDA's autoencoder: what moves and what never does, resumption, first weights, impossible settings."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from lowdose import recipes
from lowdose.batch import CandidateTokenBatch
from lowdose.data.labelled import phantoms
from lowdose.data.normal_dose import NormalDoseSlice
from lowdose.errors import IncompatibleCheckpoint, InvalidSetting, OutputRefused, TrainingDiverged
from lowdose.language import autoencoder_file, relevance
from lowdose.language.clip import ClipRelevance
from lowdose.methods import token_use
from lowdose.methods.autoencoder import GuidedAutoencoder
from lowdose.methods.base import Update
from lowdose.networks import anatomy
from lowdose.training import runner
from lowdose.training.leda_autoencoder import run as training
from lowdose.training.leda_autoencoder.data import candidate_chooser, evenly_spaced_thresholds
from lowdose.training.leda_autoencoder.init import split_patients
from lowdose.training.leda_autoencoder.recipe import AutoencoderHyperparameters, AutoencoderRecipe
from lowdose.training.leda_autoencoder.run import BANK, SEGMENTED, train_autoencoder
from lowdose.training.runner import MODEL_FILE, RunOptions
from lowdose.training.trainer import STATE_FILE
from lowdose.weights import files
from support.tiny_autoencoder_training import WORDS, vocabulary, with_a_tiny_size
from support.tiny_word_autoencoder import hash_of
from support.toy_patients import instead_of_digital_patients, person
from support.training_runs import EXACT, StopAfter, assert_same

tiny = pytest.fixture(autouse=True, name="tiny")(with_a_tiny_size)
people = pytest.fixture(autouse=True, name="people")(instead_of_digital_patients)
NUMBERS = AutoencoderHyperparameters(
    steps=3, batch=1, learning_rate=1e-3, warmup=0, ema=0.9, validate_every=100, checkpoint_every=100, side=64,
    digital_share=0.4, patients=1, validation_patients=1, layers=2, sharpness=4.0, adversarial_start=2, soft_steps=1,
    discriminator_width=2,
)  # fmt: skip


@pytest.fixture(autouse=True)
def few() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(phantoms, "SLICES", 1)
        yield


def normal(patient: int, hu: np.ndarray | None = None) -> NormalDoseSlice:
    image = person(500 + patient, 1).volume.hu[0] if hu is None else hu
    return NormalDoseSlice(
        patient, f"p{patient}-{image.shape[0]}", f"series {patient}", image.shape, (1.0, 1.0), None, None, None, None,
        None, lambda: image,
    )  # fmt: skip


REAL = (normal(1), normal(2), normal(3))


def recipe(size: str = "tiny", **changes: object) -> AutoencoderRecipe:
    return AutoencoderRecipe("Nobody et al.", size, "anatomy", replace(NUMBERS, **changes))


def go(run: Path, chosen: AutoencoderRecipe, options: RunOptions = EXACT, items: Sequence[NormalDoseSlice] = REAL,
       **more: object) -> bool:  # fmt: skip
    more = {"words": vocabulary(), **more}
    return train_autoencoder("leda_autoencoder", chosen, items, run, options, lambda _: None, lambda *_: None, **more)


class Watched:
    """What a training did, turn by turn."""

    def __init__(self, patched: pytest.MonkeyPatch) -> None:
        self.methods: list[GuidedAutoencoder] = []
        self.updates: list[tuple[str, list[str]]] = []
        self.moved: list[dict[str, bool]] = []
        self.reset_optimiser: dict[str, Tensor] = {}
        self.frozen: list[tuple[str, str]] = []
        real, started = GuidedAutoencoder.updates, GuidedAutoencoder.__init__

        def turns(method: GuidedAutoencoder, batch: CandidateTokenBatch) -> Iterator[Update]:
            for turn in real(method, batch):
                before = {name: weights_of(player) for name, player in method.trained_modules().items()}
                if turn.reset_optimiser:
                    self.reset_optimiser = {n: v.detach().clone() for n, v in method.autoencoder.state_dict().items()}
                yield turn
                self.updates.append((turn.module, list(turn.terms)))
                self.moved.append(
                    {n: weights_of(player) != before[n] for n, player in method.trained_modules().items()}
                )

        def init(method: GuidedAutoencoder, *given: object) -> None:
            started(method, *given)
            self.methods.append(method)
            self.frozen.append(frozen(method))

        patched.setattr(GuidedAutoencoder, "updates", turns)
        patched.setattr(GuidedAutoencoder, "__init__", init)


def weights_of(network: torch.nn.Module) -> bytes:
    return b"".join(value.detach().numpy().tobytes() for value in network.parameters())


def frozen(method: GuidedAutoencoder) -> tuple[str, str]:
    """Hashes of the features that perceive and of the words."""
    return hash_of(method.perceptual), hash_of(method.autoencoder.quantiser)


def test_it_trains_logs_saves_and_loads(tmp_path: Path) -> None:
    said: list[str] = []
    run = tmp_path / "run"
    assert train_autoencoder(
        "leda_autoencoder", recipe(), REAL, run, EXACT, said.append, lambda *_: None, words=vocabulary()
    )
    assert said == ["slices segmented: 2/2", "digital patients: 1/1"]
    found = autoencoder_file.load_autoencoder(run / MODEL_FILE)
    assert found.vocabulary is not None
    assert found.vocabulary.sha256 == vocabulary().sha256
    assert {"recipe": "leda_autoencoder", "step": 3, "size": "tiny", "slices": 2, "sharpness": 4.0}.items() <= dict(
        found.training
    ).items()
    assert str(tmp_path) not in json.dumps(files.read_weights(run / MODEL_FILE).header)
    rows = {row["name"]: float(row["value"]) for row in csv.DictReader((run / "log.csv").open())}
    terms = {f"autoencoder/{name}" for name in (
        "reconstruction", "perceptual", "commitment", "adversarial", "semantic"
    )}  # fmt: skip
    told = {"tokens/semantic", "tokens/explained", "tokens/perplexity_2", "tokens/in_use_1"}
    assert {*terms, *told, "discriminator/hinge", "validation/psnr", "validation/tokens_2"} <= set(rows)
    assert all(np.isfinite(value) for value in rows.values())
    alpha = rows["autoencoder/semantic"] / sum(rows[name] for name in terms - {"autoencoder/semantic"})
    assert alpha == pytest.approx(0.3, rel=1e-5)
    described = json.loads((run / "run.json").read_text())
    assert (described["training"], described["validation"]) == (
        {"slices": 2, "patients": 2},
        {"slices": 1, "patients": 1},
    )
    assert described["words"] == vocabulary().provenance


def test_each_turn_moves_its_player_alone_and_the_frozen_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = Watched(monkeypatch)
    assert go(tmp_path, recipe(steps=6, soft_steps=2, adversarial_start=4))
    (method,) = seen.methods
    assert [player for player, _ in seen.updates] == ["autoencoder"] * 5 + [
        "discriminator",
        "autoencoder",
        "discriminator",
    ]
    for (player, terms), moved in zip(seen.updates, seen.moved, strict=True):
        assert moved == {name: name == player for name in ("autoencoder", "discriminator")}
        assert ("adversarial" in terms) == (player == "autoencoder" and len(terms) == 5)
    assert frozen(method) == seen.frozen[0]
    state = torch.load(tmp_path / STATE_FILE, weights_only=True)
    assert list(state["modules"]) == ["autoencoder", "discriminator", "use", "spread"]
    kept = [name for module in state["modules"].values() for name in module]
    assert not [name for name in [*kept, *state["ema"]] if "codebook" in name or "features" in name]
    assert int(state["modules"]["spread"]["steps"]) == 6
    assert not [name for name in files.read_weights(tmp_path / MODEL_FILE).tensors if name.startswith("quantiser")]


def test_at_the_first_word_memories_of_the_optimiser_and_the_average_are_void(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = Watched(monkeypatch)
    assert go(tmp_path, recipe(steps=4, soft_steps=3, adversarial_start=100))
    state = torch.load(tmp_path / STATE_FILE, weights_only=True)
    assert {int(one["step"]) for one in state["optimisers"]["autoencoder"]["state"].values()} == {1}
    decay = min(0.9, 5 / 14)
    for name, now in state["modules"]["autoencoder"].items():
        wanted = decay * seen.reset_optimiser[name] + (1 - decay) * now
        torch.testing.assert_close(state["ema"][name], wanted, rtol=1e-4, atol=1e-6)
    written = files.read_weights(tmp_path / MODEL_FILE).tensors
    assert all(torch.equal(written[name], value) for name, value in state["ema"].items())


def test_resumed_equals_uninterrupted_bit_for_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over the end of the steps without words, which is at 4, and the start of the adversary, at 6."""
    chosen = recipe(steps=8, soft_steps=4, adversarial_start=6)
    assert go(tmp_path / "whole", chosen)
    for number, after in enumerate((3, 2, 1)):
        monkeypatch.setattr(runner, "GracefulStop", StopAfter(after))
        assert not go(tmp_path / "parts", chosen, replace(EXACT, resume=number > 0))
    monkeypatch.setattr(runner, "GracefulStop", StopAfter(10**9))
    assert go(tmp_path / "parts", chosen, replace(EXACT, resume=True))
    whole, parts = (torch.load(tmp_path / name / STATE_FILE, weights_only=True) for name in ("whole", "parts"))
    assert whole["step"] == parts["step"] == 8
    for key in ("modules", "ema", "optimisers"):
        assert_same(whole[key], parts[key])
    one, two = (files.read_weights(tmp_path / name / MODEL_FILE) for name in ("whole", "parts"))
    assert one.header == two.header
    assert all(torch.equal(value, two.tensors[name]) for name, value in one.tensors.items())
    logs = [
        [
            row
            for row in csv.reader((tmp_path / name / "log.csv").open())
            if not row[1].startswith(("seconds_", "throughput/"))
        ]
        for name in ("whole", "parts")
    ]
    assert logs[0] == logs[1]


def test_a_run_goes_on_only_as_it_was_begun(tmp_path: Path) -> None:
    again = replace(EXACT, resume=True)
    go(tmp_path, recipe(steps=1, digital_share=0))
    with pytest.raises(OutputRefused, match="--resume"):
        go(tmp_path, recipe(steps=1, digital_share=0))
    for told, changes, more in (
        ("sharpness was 4.0, now 5.0", {"sharpness": 5.0}, {}),
        ("vocabulary was", {}, {"words": vocabulary(1)}),
        ("data was", {}, {"items": REAL[:2]}),
        ("start was None", {}, {"start": tmp_path / MODEL_FILE}),
    ):
        with pytest.raises(InvalidSetting, match=told):
            go(tmp_path, recipe(steps=1, digital_share=0, **changes), again, **more)


def test_validation_patients_are_never_trained_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    items = [normal(patient) for patient in (4, 2, 9, 7)]
    learn, check = split_patients(items, 2)
    assert ([item.patient for item in learn], [item.patient for item in check]) == ([4, 2], [9, 7])
    judged: list[str] = []
    monkeypatch.setattr(
        training, "validate_reconstruction", lambda _, chosen: judged.extend(i.key for i in chosen) or {}
    )
    go(tmp_path, recipe(steps=1, digital_share=0, validation_patients=2), items=items)
    assert {file.name.split("-")[0] for file in (tmp_path / SEGMENTED).iterdir()} == {"p4", "p2"}
    assert judged == ["p9-160", "p7-160"]
    assert split_patients(items, 0) == (items, [])
    assert split_patients([], 3) == ([], [])
    for held_out in (4, 5):
        with pytest.raises(InvalidSetting, match=rf"hold out {held_out} of 4 patient"):
            split_patients(items, held_out)


def test_digital_patients_alone_and_kept_where_they_are_asked_for(tmp_path: Path) -> None:
    go(tmp_path / "run", recipe(steps=1), items=(), bank=tmp_path / "bank")
    assert not (tmp_path / "run" / BANK).exists()
    assert len(list((tmp_path / "bank").iterdir())) == 2
    assert not (tmp_path / "run" / SEGMENTED).exists()


STILL = {"steps": 1, "learning_rate": 1e-12, "final_learning_rate": 0.0, "digital_share": 0.0, "soft_steps": 0}


def test_it_goes_on_from_weights(tmp_path: Path) -> None:
    go(tmp_path / "first", recipe(digital_share=0, learning_rate=1e-2))
    go(tmp_path / "second", recipe(**STILL), start=tmp_path / "first" / MODEL_FILE)
    one, two = (files.read_weights(tmp_path / name / MODEL_FILE) for name in ("first", "second"))
    for name, value in one.tensors.items():
        torch.testing.assert_close(two.tensors[name], value, rtol=0, atol=1e-6)
    assert json.loads(two.header["training"])["start"] == one.sha256


def test_weights_of_another_autoencoder_are_no_start(tmp_path: Path) -> None:
    go(tmp_path / "first", recipe(steps=1, digital_share=0))
    start = tmp_path / "first" / MODEL_FILE
    fewer = vocabulary(0, WORDS[:5])
    for told, changes, words in (
        ("size 'tiny' with other words", {}, vocabulary(1)),
        ("size 'tiny' with other words", {}, fewer),
        ("size 'tiny' with other words", {"word_length": 1.0}, vocabulary()),
        ("size 'tiny' with other weights", {"learned_tokens": 12}, vocabulary()),
        ("size 'tiny' with other weights", {"size": "small"}, vocabulary()),
    ):
        with pytest.raises(InvalidSetting, match=rf"model\.safetensors: is an autoencoder of {told}"):
            go(tmp_path / "run", recipe(**{**STILL, **changes}), start=start, words=words)
    with pytest.raises(IncompatibleCheckpoint, match="gone"):
        go(tmp_path / "run", recipe(**STILL), start=tmp_path / "gone.safetensors")
    assert not (tmp_path / "run").exists()


def test_a_plain_vqgan_learns_its_codebook(tmp_path: Path) -> None:
    chosen = recipe(learned_tokens=20, layers=1, digital_share=0, soft_steps=0, learning_rate=1e-2)
    go(tmp_path / "run", chosen)
    found = autoencoder_file.load_autoencoder(tmp_path / "run" / MODEL_FILE)
    assert found.vocabulary is None
    assert found.autoencoder.codebook.shape == (20, 6)
    rows = {row["name"] for row in csv.DictReader((tmp_path / "run" / "log.csv").open())}
    assert "autoencoder/codebook" in rows
    assert not {"autoencoder/semantic", "tokens/semantic"} & rows
    with pytest.raises(InvalidSetting, match=r"learned with sharpness=4, now it is 5"):
        go(tmp_path / "on", replace(chosen, hyperparameters=replace(chosen.hyperparameters, sharpness=5.0)),
           start=tmp_path / "run" / MODEL_FILE)  # fmt: skip


def test_whole_slices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, ...]] = []
    real = GuidedAutoencoder.updates

    def turns(method: GuidedAutoencoder, batch: CandidateTokenBatch) -> Iterator[Update]:
        seen.append(tuple(batch.hu.shape))
        yield from real(method, batch)

    monkeypatch.setattr(GuidedAutoencoder, "updates", turns)
    go(tmp_path, recipe(steps=2, batch=2, side=0, digital_share=0))
    assert seen == [(2, 1, 160, 160)] * 2


def test_a_collapse_ends_the_run_with_advice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_use, "PATIENCE", 1)
    monkeypatch.setattr(token_use, "FEWEST", 1e9)
    with pytest.raises(TrainingDiverged, match="semantic_weight"):
        go(tmp_path, recipe(digital_share=0))
    assert not (tmp_path / MODEL_FILE).exists()


class Judge(ClipRelevance):
    """Stands in for a CLIP model: the brighter the image, the later the word."""

    def __init__(self, words: object, model: object) -> None:
        assert model == "loaded"

    def scores(self, hu: np.ndarray, pixel_mm: object = None) -> np.ndarray:
        return relevance.min_max(-np.abs(np.arange(len(WORDS)) - (hu.mean() + 1000) / 150))


def test_words_by_a_clip_model_which_is_known_by_its_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Loaded(str):
        def fingerprint(self) -> str:
            return "1234"

    monkeypatch.setattr(training, "load_clip", lambda _: Loaded("loaded"))
    monkeypatch.setattr(training, "ClipRelevance", Judge)
    assert go(tmp_path / "run", recipe(), clip=str(tmp_path / "model"))
    assert autoencoder_file.load_autoencoder(tmp_path / "run" / MODEL_FILE).training["clip_model"] == "1234"
    assert str(tmp_path) not in json.dumps(files.read_weights(tmp_path / "run" / MODEL_FILE).header)
    pools = candidate_chooser(Judge(None, "loaded"), 3)(np.full((9, 9), -400.0), np.zeros((9, 9), np.uint8), None)
    assert pools[0].tolist() == [4]
    assert pools[-1].tolist() == [4, 3, 5]


def test_words_by_the_anatomy_network_are_its_candidate_pools() -> None:
    judge = relevance.AnatomyRelevance(anatomy.load_anatomy(), vocabulary())
    classes = np.zeros((40, 40), np.uint8)
    classes[5:30, 5:30] = 9
    for layers, thresholds in ((3, (0.95, 0.9, 0.8)), (2, (0.95, 0.8)), (1, (0.8,)), (4, (0.95, 0.9, 0.85, 0.8))):
        assert layers == 3 or evenly_spaced_thresholds(layers) == pytest.approx(thresholds)
        found = candidate_chooser(judge, layers)(np.zeros((40, 40), np.float32), classes, (1.0, 1.0))
        wanted = relevance.candidate_pools(judge.scores_of(classes, (1.0, 1.0)), thresholds)
        for pool, other in zip(found, wanted, strict=True):
            np.testing.assert_array_equal(pool, other)


BIG = normal(5, np.zeros((176, 160), np.float32))
WRONG: list[tuple[str, dict[str, object], dict[str, object]]] = [
    ("side=72: must be a multiple of 16, at least 64", {"side": 72}, {}),
    ("side=48: must be a multiple of 16, at least 64", {"side": 48}, {}),
    ("side=16: must be a multiple of 16, at least 32", {"side": 16, "layers": 1}, {}),  # for the features
    ("side=64: must be a multiple of 16, at least 128", {"layers": 3}, {}),
    ("nothing to train on", {}, {"items": (), "patients": 0}),
    ("nothing to train on", {"digital_share": 0.0}, {"items": ()}),
    ("side=0 .*digital_share=0", {"side": 0}, {}),
    ("side=0 .*of 160 x 160 and of 176 x 160 pixels.*batch=1", {"side": 0, "digital_share": 0.0, "batch": 2},
     {"items": (*REAL, BIG, normal(9))}),
    ("side=0 .*a slice has 150 x 160 pixels", {"side": 0, "digital_share": 0.0},
     {"items": (*REAL, normal(0, np.zeros((150, 160), np.float32)))}),
    ("side=0 .*a slice has 160 x 48 pixels", {"side": 0, "digital_share": 0.0},
     {"items": (*REAL, normal(0, np.zeros((160, 48), np.float32)))}),
    ("series 8: slices of 60 x 200 pixels are too small", {}, {"items": (*REAL, normal(8, np.zeros((60, 200))))}),
    ("cannot hold out 3 of 3", {"validation_patients": 3}, {}),
    ("none of its 2 tokens", {}, {"words": vocabulary(0, ("xqzt", "vwkk"))}),
]  # fmt: skip


@pytest.mark.parametrize(("told", "changes", "more"), WRONG)
def test_what_cannot_be_is_refused_before_anything_is_written(
    told: str, changes: dict[str, object], more: dict[str, object], tmp_path: Path
) -> None:
    changes = {**changes, **{key: more[key] for key in ("patients",) if key in more}}
    more = {key: value for key, value in more.items() if key != "patients"}
    with pytest.raises(InvalidSetting, match=told):
        go(tmp_path / "run", recipe(**changes), **more)
    assert not (tmp_path / "run").exists()


def test_slices_of_two_sizes_one_at_a_time(tmp_path: Path) -> None:
    assert go(tmp_path, recipe(steps=1, side=0, digital_share=0, validation_patients=0), items=(REAL[0], BIG))


@pytest.mark.parametrize(
    "wrong",
    [{"side": "-1"}, {"digital_share": "1.1"}, {"layers": "0"}, {"layers": "6"}, {"sharpness": "0"},
     {"word_length": "-1"}, {"semantic_weight": "nan"}, {"soft_steps": "-1"}, {"discriminator_width": "0"},
     {"patch": "64"}, {"learned_tokens": "many"}],
)  # fmt: skip
def test_impossible_numbers(wrong: dict[str, str]) -> None:
    with pytest.raises(InvalidSetting, match=next(iter(wrong))):
        AutoencoderHyperparameters().with_values(wrong)


def test_the_sizes_of_the_paper_have_its_weights_and_none_of_our_terms() -> None:
    recipe = recipes.get_recipe("leda_autoencoder")
    assert isinstance(recipe, AutoencoderRecipe)
    for size in ("paper", "released", "small"):
        chosen = recipe.of_size(size)
        found = chosen.hyperparameters.weights
        assert (found.semantic, found.commitment, found.adversarial, found.perceptual) == (0.3, 0.3, 0.1, 0.1)
        assert (found.image, found.window, found.texture, found.invariance, found.balanced) == (1, 0, 0, 0, True)
        assert (chosen.hyperparameters.noisy, chosen.hyperparameters.cell_words) == (0, 0)
        assert (chosen.hyperparameters.layers, chosen.hyperparameters.batch) == (3, 4)
        assert (chosen.size, chosen.features) == (size, "anatomy")
        assert found.adversarial_start == chosen.hyperparameters.adversarial_start == 12_000
    with pytest.raises(InvalidSetting, match="--size huge: choose one of small"):
        recipe.of_size("huge")


def test_the_default_size_sees_texture() -> None:
    recipe = recipes.get_recipe("leda_autoencoder")
    assert isinstance(recipe, AutoencoderRecipe)
    assert recipe.of_size(None) is recipe
    found = recipe.hyperparameters.weights
    assert recipe.size == "local"
    assert min(found.window, found.texture, found.invariance) > 0
    assert not found.balanced


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"invariance_weight": 1.0}, "--set noisy=1"),
        ({"cell_words": 1, "side": 0}, "--set cell_words=0"),
        ({"noisy": 2}, "noisy=2: must be from 0 to 1"),
    ],
)
def test_settings_that_need_others(values: dict[str, float], message: str) -> None:
    with pytest.raises(InvalidSetting, match=message):
        AutoencoderHyperparameters(**values)


def test_with_noise_real_slices_are_kept_without_it(tmp_path: Path) -> None:
    chosen = recipe(noisy=1, cell_words=1, balanced=0, texture_weight=0.1, invariance_weight=0.2, entropy_weight=0.1)
    assert go(tmp_path / "whole", chosen)
    kept = sorted((tmp_path / "whole" / SEGMENTED).glob("*-hu-*.npy"))
    stored = np.load(kept[0]).astype(np.float32)
    read = {item.key: item.read() for item in REAL}
    assert stored.shape == read[kept[0].name.split("-hu-")[0]].shape
    assert not np.array_equal(stored, np.rint(read[kept[0].name.split("-hu-")[0]]))
    logged = {row[1] for row in csv.reader((tmp_path / "whole" / "log.csv").open())}
    assert {f"autoencoder/{term}" for term in ("texture", "invariance", "token_invariance", "entropy")} <= logged
