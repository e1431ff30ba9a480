"""Vocabularies: what a table must be, where it comes from, and what is said when it is not there."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import lowdose
from lowdose.errors import DownloadFailed, IncompatibleCheckpoint, NothingToRead
from lowdose.language import vocabulary
from lowdose.language.vocabulary import Vocabulary
from lowdose.weights.identity import shipped_weights

TOKENS = ["liver</w>", "kid", "ney</w>", "ct</w>", "<|endoftext|>"]


def table(rows: int = 5, channels: int = 8, seed: int = 0) -> torch.Tensor:
    return torch.randn(rows, channels, generator=torch.Generator().manual_seed(seed))


def model_folder(folder: Path, name: str = "text_model.embeddings.token_embedding.weight", rows: int = 5) -> Path:
    save_file({name: table(rows), "visual_projection.weight": table()}, folder / "model.safetensors")
    (folder / "vocab.json").write_text(json.dumps({token: number for number, token in enumerate(TOKENS)}))
    return folder


def test_words_readable_and_frozen() -> None:
    words = Vocabulary(tuple(TOKENS), torch.nn.Parameter(table().double()), "test")
    assert words.words == ("liver", None, "ney", "ct", None)
    assert words.readable.tolist() == [True, False, True, True, False]
    assert words.embeddings.dtype == torch.float32
    assert not words.embeddings.requires_grad
    assert len(words) == 5


def test_hash_is_of_the_content() -> None:
    first = Vocabulary(tuple(TOKENS), table(), "here")
    assert Vocabulary(tuple(TOKENS), table(), "there").sha256 == first.sha256
    moved = table()
    moved[3, 2] += 1e-6
    renamed = ("Liver</w>", *TOKENS[1:])
    hashes = {first.sha256, Vocabulary(tuple(TOKENS), moved, "").sha256, Vocabulary(renamed, table(), "").sha256}
    assert len(hashes) == 3
    assert Vocabulary(("ab", "c"), table(2), "").sha256 != Vocabulary(("a", "bc"), table(2), "").sha256


@pytest.mark.parametrize(
    ("tokens", "broken", "told"),
    [
        (TOKENS[:4], {}, "4 tokens for a table of"),
        (TOKENS, {(2, 3): float("nan")}, r"token 2 \('ney</w>'\).*NaN.*0 more"),
        (TOKENS, {(1, 0): float("inf"), (4, 0): float("-inf")}, r"token 1 .*1 more"),
        ([*TOKENS[:4], "kid"], {}, "tokens 1 and 4 are both 'kid'"),
    ],
)
def test_tables_that_cannot_be_used(tokens: list[str], broken: dict[tuple[int, int], float], told: str) -> None:
    rows = table()
    for place, value in broken.items():
        rows[place] = value
    with pytest.raises(IncompatibleCheckpoint, match=told):
        Vocabulary(tuple(tokens), rows, "mine")


@pytest.mark.parametrize("zero", [0.0, -0.0])
def test_two_tokens_with_one_embedding(zero: float) -> None:
    rows = table()
    rows[1, 4], rows[3] = 0.0, rows[1]
    rows[3, 4] = zero
    with pytest.raises(IncompatibleCheckpoint, match=r"mine: tokens 1 \('kid'\) and 3 \('ct</w>'\) have one"):
        Vocabulary(tuple(TOKENS), rows, "mine")


@pytest.mark.parametrize("kind", [torch.float32, torch.float16])
@pytest.mark.parametrize("beside", [True, False])
def test_vocabulary_from_a_users_file(tmp_path: Path, beside: bool, kind: torch.dtype) -> None:
    path, rows = tmp_path / "mine.safetensors", table().to(kind)
    save_file({"embeddings": rows}, path, {} if beside else {"tokens": json.dumps(TOKENS)})
    if beside:
        path.with_suffix(".txt").write_text("\n".join(TOKENS) + "\n")
    words = vocabulary.load_vocabulary(path)
    assert list(words.tokens) == TOKENS
    assert torch.equal(words.embeddings, rows.float())


def test_integers_are_directions(tmp_path: Path) -> None:
    path = tmp_path / "mine.safetensors"
    save_file({"embeddings": torch.tensor([[3, 4], [-127, 0]], dtype=torch.int8)}, path, {"tokens": '["a", "b"]'})
    torch.testing.assert_close(vocabulary.load_vocabulary(path).embeddings, torch.tensor([[0.6, 0.8], [-1.0, 0.0]]))


@pytest.mark.parametrize(
    ("tensors", "header", "told"),
    [
        ({"table": table()}, {"tokens": json.dumps(TOKENS)}, "no tensor 'embeddings'"),
        ({"embeddings": table()}, {}, r"names no tokens, nor does .*mine\.txt"),
        ({"embeddings": table()}, {"tokens": "liver kidney"}, "cannot be read"),
        ({"embeddings": table()}, {"tokens": "[1, 2]"}, "no list of texts"),
    ],
)
def test_own_files_that_cannot_be_used(
    tmp_path: Path, tensors: dict[str, torch.Tensor], header: dict[str, str], told: str
) -> None:
    save_file(tensors, tmp_path / "mine.safetensors", header)
    with pytest.raises(IncompatibleCheckpoint, match=told):
        vocabulary.load_vocabulary(tmp_path / "mine.safetensors")


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("text_model.embeddings.token_embedding.weight", 5),
        ("embeddings.word_embeddings.weight", 5),
        ("model.embed_tokens.weight", 8),  # rows up to a round number
    ],
)
def test_token_table_of_a_model(tmp_path: Path, name: str, rows: int) -> None:
    words = vocabulary.load_vocabulary(model_folder(tmp_path, name, rows))
    assert list(words.tokens) == TOKENS
    assert torch.equal(words.embeddings, table(rows)[:5])
    assert str(tmp_path) in words.provenance


def test_tokenizer_files(tmp_path: Path) -> None:
    model_folder(tmp_path)
    plain = vocabulary.load_vocabulary(tmp_path)
    (tmp_path / "vocab.json").unlink()
    numbers = {token: number for number, token in enumerate(TOKENS[:4])}
    added = [{"content": TOKENS[4], "id": 4}]
    for vocab in (numbers, [[token, -0.5] for token in TOKENS[:4]]):
        (tmp_path / "tokenizer.json").write_text(json.dumps({"model": {"vocab": vocab}, "added_tokens": added}))
        assert vocabulary.load_vocabulary(tmp_path).sha256 == plain.sha256
    (tmp_path / "tokenizer.json").unlink()
    (tmp_path / "vocab.txt").write_text("\n".join(TOKENS) + "\n")
    assert vocabulary.load_vocabulary(tmp_path).sha256 == plain.sha256


def test_a_token_may_be_called_model(tmp_path: Path) -> None:
    model_folder(tmp_path, rows=2)
    (tmp_path / "vocab.json").write_text('{"model": 0, "liver": 1}')
    assert vocabulary.load_vocabulary(tmp_path).tokens == ("model", "liver")


def test_model_folders_that_cannot_be_used(tmp_path: Path) -> None:
    model_folder(tmp_path)
    (tmp_path / "vocab.json").write_text('{"liver": 0, "kidney": 7}')
    with pytest.raises(IncompatibleCheckpoint, match="2 tokens are not numbered 0 to 4"):
        vocabulary.load_vocabulary(tmp_path)
    (tmp_path / "vocab.json").write_text("[1, 2")
    with pytest.raises(IncompatibleCheckpoint, match=r"vocab\.json: is no tokenizer's list"):
        vocabulary.load_vocabulary(tmp_path)
    (tmp_path / "vocab.json").unlink()
    with pytest.raises(IncompatibleCheckpoint, match=r"has no tokenizer\.json, vocab\.json, vocab\.txt"):
        vocabulary.load_vocabulary(tmp_path)
    save_file({"visual_projection.weight": table()}, tmp_path / "model.safetensors")
    with pytest.raises(IncompatibleCheckpoint, match="has 0 tensors whose name ends"):
        vocabulary.load_vocabulary(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(IncompatibleCheckpoint, match="not a readable safetensors file"):
        vocabulary.load_vocabulary(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(IncompatibleCheckpoint, match=r"has no model\.safetensors .*save_pretrained"):
        vocabulary.load_vocabulary(tmp_path)


def test_what_is_missing_is_named_with_what_to_put_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NothingToRead, match=r"no such file; a vocabulary of one's own is"):
        vocabulary.load_vocabulary(tmp_path / "none.safetensors")
    with pytest.raises(NothingToRead, match=r"no such folder; put into a folder model\.safetensors .*PubMedCLIP"):
        vocabulary.load_vocabulary(tmp_path / "none")
    monkeypatch.setitem(__import__("sys").modules, "huggingface_hub", None)
    with pytest.raises(NothingToRead, match=r"nor in this machine's cache.*nothing is fetched unless.*tokenizer\.json"):
        vocabulary.load_vocabulary("someone/clip")
    with pytest.raises(DownloadFailed, match=r"cannot be fetched.*put into a folder"):
        vocabulary.load_vocabulary("someone/clip", fetch=True)


def test_the_shipped_table() -> None:
    words = vocabulary.load_vocabulary()
    rows = words.embeddings
    assert list(shipped_weights("vocabulary")) == ["words"]
    assert rows.shape == (len(words), 384)
    assert len(words) > 10_000
    assert words.readable.all()
    torch.testing.assert_close(rows.norm(dim=1), torch.ones(len(words)))
    assert (Path(lowdose.__file__).parent / "zoo/words.safetensors").stat().st_size < 8_000_000
    organs = {"liver", "kidney", "spleen", "pancreas", "aorta", "lesion", "ct", "tomography", "hepatic", "abdomen"}
    assert organs <= set(words.tokens)
    assert np.isfinite(rows.numpy()).all()


# What word pieces break: 'ct' near 'connecticut', lesion and spleen no words at all.
@pytest.mark.parametrize(
    ("word", "near"),
    [("liver", "hepatic"), ("kidney", "renal"), ("spleen", "splenic"), ("ct", "diagnosis"), ("heart", "cardiac")],
)
def test_neighbours_in_the_shipped_table(word: str, near: str) -> None:
    words = vocabulary.load_vocabulary()
    cosine = words.embeddings @ words.embeddings[words.tokens.index(word)]
    closest = [words.tokens[row] for row in cosine.argsort(descending=True)[1:11]]
    assert near in closest
    assert "connecticut" not in closest
