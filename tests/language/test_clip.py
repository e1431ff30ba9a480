"""Relevance by CLIP, on a tiny random one: what it sees, what it is asked, and that it is asked only once."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from lowdose.errors import IncompatibleCheckpoint, InvalidSetting, NothingToRead
from lowdose.language import clip, clip_model
from lowdose.language.clip import ClipRelevance
from lowdose.language.clip_model import ClipModel
from lowdose.language.relevance import candidate_pools
from lowdose.language.vocabulary import Vocabulary
from support import tiny_clip

pytest.importorskip("transformers")

TOKENS = ("liver</w>", "kidney</w>", "ct", "rib</w>", "!</w>")
WORDS = Vocabulary(TOKENS, torch.eye(5), "five tokens")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_clip.make(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def model(folder: Path) -> ClipModel:
    return clip_model.load_clip(folder)


@pytest.fixture(scope="module")
def provider(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> ClipRelevance:
    return ClipRelevance(WORDS, folder, cache=tmp_path_factory.mktemp("cache"))


def images(count: int = 3, shape: tuple[int, int] = (80, 80)) -> np.ndarray:
    return np.random.default_rng(0).normal(40, 150, (count, *shape)).astype(np.float32)


def keys_cubic(x: float) -> float:
    """Keys (1981) with a = -1/2, the bicubic kernel of CLIP's preprocessing."""
    x = abs(x)
    if x < 1:
        return 1.5 * x**3 - 2.5 * x**2 + 1
    return -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x < 2 else 0.0


def resizing(inside: int, outside: int) -> np.ndarray:
    """(outside, inside) weights of antialiased bicubic resizing: the kernel as wide as one new pixel."""
    scale = inside / outside
    weights = np.zeros((outside, inside))
    for row in range(outside):
        centre = (row + 0.5) * scale
        for column in range(inside):
            weights[row, column] = keys_cubic((column + 0.5 - centre) / max(scale, 1.0))
    return weights / weights.sum(1, keepdims=True)


def slow_look(hu: np.ndarray) -> np.ndarray:
    """What CLIP sees, written out: (y, x) HU -> (3, side, side)."""
    unit = np.clip((hu.astype(np.float64) + 160) / 400, 0, 1)
    short = min(unit.shape)
    rows, columns = (round(side * tiny_clip.SIDE / short) for side in unit.shape)
    small = np.clip(resizing(unit.shape[0], rows) @ unit @ resizing(unit.shape[1], columns).T, 0, 1)
    top, left = (rows - tiny_clip.SIDE) // 2, (columns - tiny_clip.SIDE) // 2
    square = small[top : top + tiny_clip.SIDE, left : left + tiny_clip.SIDE]
    return np.stack([(square - mean) / std for mean, std in zip(tiny_clip.MEAN, tiny_clip.STD, strict=True)])


@pytest.mark.parametrize("shape", [(80, 80), (64, 100), (90, 48), (20, 20), (32, 32)])
def test_preprocessing(provider: ClipRelevance, shape: tuple[int, int]) -> None:
    (hu,) = images(1, shape)
    seen = clip.clip_input(torch.from_numpy(clip.apply_window(hu[None])), provider.model)[0].numpy()
    assert seen.shape == (3, 32, 32)
    np.testing.assert_allclose(seen, slow_look(hu), atol=2e-5)


def test_preprocessing_of_the_release(provider: ClipRelevance) -> None:
    (hu,) = images(1, (64, 96))
    seen = clip.released_clip_input(torch.from_numpy(clip.apply_window(hu[None])), provider.model)[0].numpy()
    unit = np.clip((hu.astype(np.float64) + 160) / 400, 0, 1)
    for row, column in ((0, 0), (7, 31), (31, 31), (13, 20)):
        # Two rows of every two: the new centre lies between; of every three columns the middle one.
        want = (unit[2 * row, 3 * column + 1] + unit[2 * row + 1, 3 * column + 1]) / 2
        np.testing.assert_allclose(seen[:, row, column], [want] * 3, atol=1e-6)


def test_scores_are_cosines_scaled(provider: ClipRelevance) -> None:
    (hu,) = images(1)
    network, tokenizer = provider.model.network, provider.model.tokenizer
    with torch.inference_mode():
        cosines = []
        seen = torch.from_numpy(slow_look(hu)).float()[None]
        image = network.get_image_features(pixel_values=seen).pooler_output[0].double()
        for word in ("liver", "kidney", "ct", "rib", "!"):
            ids = tokenizer(f"A CT of {word}", return_tensors="pt")
            text = network.get_text_features(**ids).pooler_output[0].double()
            cosines.append(float(image @ text / image.norm() / text.norm()))
    want = (np.array(cosines) - min(cosines)) / (max(cosines) - min(cosines))
    np.testing.assert_allclose(provider.scores(hu), want, atol=1e-4)


def test_batches_change_nothing(provider: ClipRelevance) -> None:
    stack = images(3)
    together = provider.batch(stack)
    for hu, scores in zip(stack, together, strict=True):
        np.testing.assert_allclose(provider.scores(hu, (0.7, 0.7)), scores, atol=1e-5)
    assert not np.allclose(together[0], together[1])


def test_texts_one_by_one_or_together(provider: ClipRelevance) -> None:
    texts = ["A CT of liver", "A CT of the", "A CT of something long!"]
    together = clip.embed_texts(provider.model, texts)
    for text, row in zip(texts, together, strict=True):
        torch.testing.assert_close(clip.embed_texts(provider.model, [text])[0], row, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(together.norm(dim=1), torch.ones(3))


@pytest.mark.parametrize("value", [-1000.0, float("nan"), 4000.0])
def test_degenerate_images(provider: ClipRelevance, value: float) -> None:
    hu = np.full((48, 48), value, np.float32)
    scores = provider.scores(hu)
    assert np.isfinite(scores).all()
    assert all(len(pool) for pool in candidate_pools(scores))
    hu[3, 5] = np.nan
    assert np.isfinite(provider.scores(hu)).all()


def test_the_release_asks_with_raw_keys(model: ClipModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    plain = ClipModel.text_features

    def listening(self: ClipModel, texts: list[str]) -> torch.Tensor:
        asked.extend(texts)
        return plain(self, texts)

    monkeypatch.setattr(ClipModel, "text_features", listening)
    ours = ClipRelevance(WORDS, model, cache=tmp_path)
    assert asked == ["A CT of liver", "A CT of kidney", "A CT of ct", "A CT of rib", "A CT of !"]
    asked.clear()
    theirs = ClipRelevance(WORDS, model, cache=tmp_path, released=True)
    assert asked == [f"A CT of {token}" for token in TOKENS]
    (hu,) = images(1)
    assert not np.allclose(ours.scores(hu), theirs.scores(hu))
    asked.clear()
    ClipRelevance(WORDS, model, cache=tmp_path, prompt="An image of a {token}.")
    assert asked[0] == "An image of a liver."


def test_texts_are_embedded_once(
    model: ClipModel, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = ClipRelevance(WORDS, model, cache=tmp_path)
    kept = list(tmp_path.iterdir())
    assert len(kept) == 1

    other = tiny_clip.make(tmp_path_factory.mktemp("other"), seed=1)

    def never(*_: object) -> torch.Tensor:
        raise AssertionError("the text tower was asked again")

    with monkeypatch.context() as silent:
        silent.setattr(ClipModel, "text_features", never)
        again = ClipRelevance(WORDS, model, cache=tmp_path)
        np.testing.assert_array_equal(again.batch(images()), first.batch(images()))
        others = Vocabulary(("lung</w>", *TOKENS[1:]), torch.eye(5), "")
        for changed in ({"words": others}, {"prompt": "a {token}"}, {"released": True}):
            with pytest.raises(AssertionError):
                ClipRelevance(**{"words": WORDS, "model": model, "cache": tmp_path, **changed})
        with pytest.raises(AssertionError):
            ClipRelevance(WORDS, other, cache=tmp_path)


def test_a_damaged_cache_is_made_anew(model: ClipModel, tmp_path: Path) -> None:
    first = ClipRelevance(WORDS, model, cache=tmp_path).batch(images())
    (kept,) = tmp_path.iterdir()
    whole = kept.read_bytes()
    flipped = bytearray(whole)
    flipped[-3] ^= 0x40
    for damaged in (bytes(flipped), whole[:-5], b""):
        kept.write_bytes(damaged)
        np.testing.assert_array_equal(ClipRelevance(WORDS, model, cache=tmp_path).batch(images()), first)
        assert kept.read_bytes() == whole
    assert list(tmp_path.iterdir()) == [kept]


def test_a_cache_that_cannot_be_written(model: ClipModel, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.warns(UserWarning, match="not kept for the next time"):
        provider = ClipRelevance(WORDS, model, cache=tmp_path / "taken")
    assert np.isfinite(provider.batch(images())).all()


def test_whole_words_as_a_vocabulary(model: ClipModel, tmp_path: Path) -> None:
    # 'liver' and 'Liver</w>' are asked with one prompt, or one that reads the same: one word of the vocabulary.
    tokens = Vocabulary((*TOKENS, "liver", "Liver</w>"), torch.eye(7), "seven tokens")
    words = ClipRelevance(tokens, model, cache=tmp_path).vocabulary()
    assert words.tokens == ("liver", "kidney", "rib")
    texts = [f"A CT of {word}" for word in words.tokens]
    torch.testing.assert_close(words.embeddings, clip.embed_texts(model, texts))


def test_a_prompt_must_name_the_token(model: ClipModel) -> None:
    with pytest.raises(InvalidSetting, match=r"must hold '\{token\}'"):
        ClipRelevance(WORDS, model, prompt="A CT")


def test_what_is_missing_is_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(
        NothingToRead, match=r"no such folder; put into a folder config\.json, model\.safetensors and tok"
    ):
        clip_model.load_clip(tmp_path / "none")
    needed = {"tokenizer.json": "no tokenizer", "model.safetensors": "pickled weights", "config.json": "no config"}
    for name, told in needed.items():
        part = tmp_path / name.split(".")[0]
        part.mkdir()
        for path in folder.iterdir():
            if path.name not in (name, "vocab.json", "merges.txt"):
                (part / path.name).write_bytes(path.read_bytes())
        with pytest.raises(IncompatibleCheckpoint, match=told):
            clip_model.load_clip(part)


def test_folders_of_another_or_an_incomplete_model_are_refused(folder: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(IncompatibleCheckpoint, match="its model_type is 'bert', not 'clip'"):
        clip_model.load_clip(tmp_path)
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    tensors = load_file(folder / "model.safetensors")
    lost = {name: value for name, value in tensors.items() if name != "text_projection.weight"}
    save_file(lost, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(IncompatibleCheckpoint, match=r"'text_projection\.weight' are missing"):
        clip_model.load_clip(tmp_path)
    tensors["text_projection.weight"][0, 0] = float("nan")
    save_file(tensors, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(IncompatibleCheckpoint, match="are not finite"):
        clip_model.load_clip(tmp_path)


def test_resizing_written_out_keeps_a_flat_image() -> None:
    for inside, outside in ((80, 32), (20, 32), (32, 32)):
        np.testing.assert_allclose(resizing(inside, outside).sum(1), 1.0)
    assert math.isclose(keys_cubic(0), 1.0)


def test_reading_texts_does_not_change_the_fingerprint(folder: Path) -> None:
    fresh = clip_model.load_clip(folder)
    before = fresh.fingerprint()
    fresh.text_features(["liver", "a kidney and a liver"])
    assert fresh.fingerprint() == before
