"""An autoencoder on disk with its words: what comes back, and files that cannot be used."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from lowdose.errors import IncompatibleCheckpoint
from lowdose.language import autoencoder_file
from lowdose.language import vocabulary as vocabularies
from lowdose.language.autoencoder_file import LanguageGuidedAutoencoder
from lowdose.language.vocabulary import Vocabulary
from lowdose.networks.autoencoder import Autoencoder
from lowdose.weights import files
from support.tiny_autoencoder_training import CHANNELS, WORDS, vocabulary, with_a_tiny_size

tiny = pytest.fixture(autouse=True, name="tiny")(with_a_tiny_size)
SAID = {"recipe": "leda_autoencoder", "step": 7}


def made(words: Vocabulary, length: float = 0.0, learned: bool = False, layers: int = 2) -> Autoencoder:
    torch.manual_seed(3)
    return Autoencoder("tiny", autoencoder_file.scaled_codebook(words, length), layers, 5.0, learned)


def written(folder: Path, content: bytes) -> Path:
    (folder / "words.safetensors").write_bytes(content)
    return folder / "words.safetensors"


def same(found: LanguageGuidedAutoencoder, network: Autoencoder) -> None:
    image = torch.rand(1, 1, 64, 80)
    with torch.inference_mode():
        one, other = found.autoencoder(image), network.eval()(image)
    torch.testing.assert_close(one[0], other[0], rtol=1e-4, atol=1e-5)
    assert all(torch.equal(a, b) for a, b in zip(one[1].indices, other[1].indices, strict=True))
    assert torch.equal(found.autoencoder.codebook, network.codebook)
    assert not any(module.training for module in found.autoencoder.modules())
    assert not any(parameter.requires_grad for parameter in found.autoencoder.parameters())
    assert not any(value.is_meta for value in [*found.autoencoder.parameters(), *found.autoencoder.buffers()])
    assert dict(found.training) == SAID


def test_the_shipped_words_are_named_by_their_hash(tmp_path: Path) -> None:
    words = vocabularies.load_vocabulary()
    network = made(words, 0.45)
    path = written(tmp_path, autoencoder_file.serialise_autoencoder(network, words, 0.45, SAID))
    assert path.stat().st_size < 500_000  # the table alone takes 15 MB
    found = autoencoder_file.load_autoencoder(path)
    same(found, network)
    assert found.vocabulary is not None
    assert found.vocabulary.sha256 == words.sha256
    assert (found.name, found.sha256) == (str(path), files.read_weights(path).sha256)
    assert float(found.autoencoder.codebook.square().sum(1).mean().sqrt()) == pytest.approx(0.45)


@pytest.mark.parametrize("kind", [torch.float32, torch.float16])
def test_own_words_travel_along_to_the_last_bit(tmp_path: Path, kind: torch.dtype) -> None:
    words = vocabulary()
    network = made(words)
    path = written(tmp_path, autoencoder_file.serialise_autoencoder(network, words, 0.0, SAID, kind))
    found = autoencoder_file.load_autoencoder(str(path))
    assert found.vocabulary is not None
    assert found.vocabulary.tokens == WORDS
    assert torch.equal(found.vocabulary.embeddings, words.embeddings)
    assert found.vocabulary.sha256 == words.sha256
    assert found.vocabulary.provenance == words.provenance
    assert files.read_weights(path).tensors["to_words.weight"].dtype == kind
    if kind == torch.float16:
        network.load_state_dict({name: value.half().float() for name, value in network.state_dict().items()})
    same(found, network)


def test_a_learned_codebook_has_no_words(tmp_path: Path) -> None:
    network = made(vocabulary(), learned=True, layers=1)
    with torch.no_grad():
        network.quantiser.codebook.add_(torch.randn(len(WORDS), CHANNELS))
    found = autoencoder_file.load_autoencoder(
        written(tmp_path, autoencoder_file.serialise_autoencoder(network, None, 0.0, SAID))
    )
    assert found.vocabulary is None
    assert found.autoencoder.quantiser.learned
    same(found, network)


@pytest.mark.parametrize(("length", "wanted"), [(0.45, 0.45), (3.0, 3.0)])
def test_words_are_made_longer_by_one_factor(length: float, wanted: float) -> None:
    words = Vocabulary(("a", "b"), torch.tensor([[3.0, 4.0], [0.0, 1.0]]), "here")
    found = autoencoder_file.scaled_codebook(words, length)
    assert float(found.square().sum(1).mean().sqrt()) == pytest.approx(wanted)
    torch.testing.assert_close(found / found[0, 0], words.embeddings / 3)
    assert torch.equal(autoencoder_file.scaled_codebook(words, 0.0), words.embeddings)


def test_a_vocabulary_with_other_tokens_than_the_shipped_one_has_now(tmp_path: Path) -> None:
    shipped = vocabularies.load_vocabulary()
    fewer = Vocabulary(shipped.tokens[5:], shipped.embeddings[5:], "cut")
    assert fewer.sha256 != shipped.sha256
    network = made(fewer, 0.45)
    found = autoencoder_file.load_autoencoder(
        written(tmp_path, autoencoder_file.serialise_autoencoder(network, fewer, 0.45, SAID))
    )
    assert found.vocabulary is not None
    assert found.vocabulary.tokens == fewer.tokens
    same(found, network)


def edited(change: Callable[[dict[str, str], dict[str, torch.Tensor]], None], folder: Path, words: Vocabulary) -> Path:
    path = written(folder, autoencoder_file.serialise_autoencoder(made(words), words, 0.0, SAID))
    found = files.read_weights(path)
    header, tensors = dict(found.header), dict(found.tensors)
    change(header, tensors)
    save_file(tensors, path, header)
    return path


def settings(**changes: object) -> Callable[[dict[str, str], dict[str, torch.Tensor]], None]:
    def change(header: dict[str, str], _: dict[str, torch.Tensor]) -> None:
        header["autoencoder"] = json.dumps({**json.loads(header["autoencoder"]), **changes})

    return change


OWN = {
    "another kind": (lambda h, _: h.update(format="lowdose-anatomy-1"), "'lowdose-anatomy-1'.*train leda_autoencoder"),
    "no kind": (lambda h, _: h.pop("format"), "'not stated'"),
    "no settings": (lambda h, _: h.pop("autoencoder"), "description is damaged"),
    "torn settings": (lambda h, _: h.update(autoencoder='{"size": "ti'), "description is damaged"),
    "no training": (lambda h, _: h.pop("training"), "description is damaged"),
    "a size of another version": (settings(size="huge"), "damaged.*'huge'"),
    "no layers": (settings(layers=0), "damaged.*0 layers"),
    "no sharpness": (settings(sharpness="much"), "description is damaged"),
    "length without end": (settings(word_length=float("nan")), "description is damaged"),
    "torn words": (lambda h, _: h.update(tokens='["liver", "ki'), "own words are damaged"),
    "no words": (lambda h, _: h.pop("tokens"), "own words are damaged"),
    "a word less": (lambda h, _: h.update(tokens=json.dumps(WORDS[:-1])), "own words are damaged.*11 tokens"),
    "no table": (lambda _, t: t.pop(autoencoder_file.WORDS), "table of words of SHA-256 None"),
    "NaN words": (lambda _, t: t[autoencoder_file.WORDS].fill_(torch.nan), "own words are damaged.*NaN"),
    "NaN weights": (lambda _, t: t["to_words.bias"].fill_(torch.nan), "'to_words.bias' hold NaN"),
    "missing weights": (lambda _, t: t.pop("from_words.bias"), "weights do not fit"),
    "more weights": (lambda _, t: t.update(other=torch.zeros(3)), "weights do not fit"),
    "another shape": (lambda _, t: t.update({"to_words.bias": torch.zeros(3)}), "weights do not fit"),
}


@pytest.mark.parametrize("what", OWN)
def test_files_that_cannot_be_used_are_named(what: str, tmp_path: Path) -> None:
    change, told = OWN[what]
    path = edited(change, tmp_path, vocabulary())
    with pytest.raises(IncompatibleCheckpoint, match=rf"(?s){path}.*{told}"):
        autoencoder_file.load_autoencoder(path)


def test_words_that_are_no_longer_shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(vocabularies, "load_vocabulary", lambda: vocabulary(1))
        path = written(tmp_path, autoencoder_file.serialise_autoencoder(made(vocabulary(1)), vocabulary(1), 0.0, SAID))
        assert autoencoder_file.load_autoencoder(path).vocabulary is not None
    with pytest.raises(IncompatibleCheckpoint, match="tokens would be other words; train it anew"):
        autoencoder_file.load_autoencoder(path)


def test_unknown_names_and_unreadable_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(IncompatibleCheckpoint, match="no autoencoder 'nothing': neither a file nor a shipped one"):
        autoencoder_file.load_autoencoder("nothing")
    (tmp_path / "torn.safetensors").write_bytes(b"torn")
    with pytest.raises(IncompatibleCheckpoint, match=r"torn\.safetensors: not a readable"):
        autoencoder_file.load_autoencoder(tmp_path / "torn.safetensors")
    (tmp_path / "model.pt").write_bytes(b"pickle")
    with pytest.raises(IncompatibleCheckpoint, match=r"only \.safetensors"):
        autoencoder_file.load_autoencoder(tmp_path / "model.pt")
