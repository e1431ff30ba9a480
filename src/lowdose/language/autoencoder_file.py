"""LEDA's autoencoder on disk, together with its words: one safetensors file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from lowdose.errors import IncompatibleCheckpoint
from lowdose.language import vocabulary
from lowdose.language.vocabulary import Vocabulary
from lowdose.networks.autoencoder import Autoencoder
from lowdose.networks.denoiser import channels_last
from lowdose.weights import files

FORMAT = "lowdose-autoencoder-1"
DEFAULT = "leda_autoencoder"
WORDS = "vocabulary.embeddings"


@dataclass(frozen=True)
class LanguageGuidedAutoencoder:
    """autoencoder: in eval mode, without gradients. vocabulary: its words; None when its codebook was learned.
    training: how it came to be.
    """

    name: str
    sha256: str
    autoencoder: Autoencoder
    vocabulary: Vocabulary | None
    training: Mapping[str, object]


def scaled_codebook(words: Vocabulary, word_length: float) -> Tensor:
    """(V, C) embeddings, scaled by one factor to a root mean square length of ``word_length``; 0 leaves them alone."""
    if not word_length:
        return words.embeddings
    return words.embeddings * (word_length / float(words.embeddings.square().sum(1).mean().sqrt()))


def serialise_autoencoder(
    autoencoder: Autoencoder,
    words: Vocabulary | None,
    word_length: float,
    training: Mapping[str, object],
    dtype: torch.dtype = torch.float32,
) -> bytes:
    """A weights file that ``load`` reads. The shipped vocabulary is named by its hash; another one travels along."""
    quantiser = autoencoder.quantiser
    header = {
        "format": FORMAT,
        "autoencoder": json.dumps(
            {
                "size": autoencoder.size,
                "layers": len(quantiser.parts),
                "word_length": word_length,
                "sharpness": autoencoder.sharpness,
            }
        ),
        "training": json.dumps(training),
    }
    extra = {}
    if words is None:
        header["learned"] = json.dumps(list(quantiser.codebook.shape))
    elif words.sha256 == vocabulary.load_vocabulary().sha256:
        header["vocabulary"] = words.sha256
    else:
        header |= {"tokens": json.dumps(words.tokens), "provenance": words.provenance}
        extra[WORDS] = words.embeddings
    return files.serialise_weights(autoencoder, header, dtype, extra)


def load_autoencoder(source: str | Path = DEFAULT, device: torch.device | str = "cpu") -> LanguageGuidedAutoencoder:
    """A shipped autoencoder by name, or a file that the recipe ``leda_autoencoder`` wrote.

    Raises IncompatibleCheckpoint naming the file and the way out when it is damaged, of another kind, or was trained
    with another table of words than the one that is shipped now.
    """
    name = str(source)
    known = files.shipped_weights("autoencoder")
    if name not in known and not Path(source).exists():
        raise IncompatibleCheckpoint(
            f"no autoencoder '{name}': neither a file nor a shipped one ({', '.join(sorted(known)) or 'none'}); "
            "'lowdose train leda_autoencoder' writes one"
        )
    found = files.read_shipped(name) if name in known else files.read_weights(Path(source))
    if found.header.get("format") != FORMAT:
        raise IncompatibleCheckpoint(
            f"{name}: its format is '{found.header.get('format', 'not stated')}', an autoencoder has '{FORMAT}'; "
            "'lowdose train leda_autoencoder' writes one"
        )
    words = None if "learned" in found.header else _words(found, name)
    try:
        made = _empty(found, words)
        training = dict(json.loads(found.header["training"]))
    except Exception as error:  # a damaged description can be wrong in any way
        raise IncompatibleCheckpoint(f"{name}: its description is damaged ({error}); copy it again") from error
    files.load_weights(
        made, {key: value for key, value in found.tensors.items() if key != WORDS}, name, "the autoencoder"
    )
    channels_last(made)
    return LanguageGuidedAutoencoder(name, found.sha256, made.to(device).eval().requires_grad_(False), words, training)


def _words(found: files.WeightsFile, name: str) -> Vocabulary:
    if WORDS in found.tensors:
        try:
            tokens = tuple(map(str, json.loads(found.header["tokens"])))
            return Vocabulary(tokens, found.tensors[WORDS], found.header["provenance"])
        except Exception as error:  # likewise
            raise IncompatibleCheckpoint(f"{name}: its own words are damaged ({error}); copy it again") from error
    shipped = vocabulary.load_vocabulary()
    if found.header.get("vocabulary") != shipped.sha256:
        raise IncompatibleCheckpoint(
            f"{name}: was trained with a table of words of SHA-256 {str(found.header.get('vocabulary'))[:16]}..., the "
            f"shipped one has {shipped.sha256[:16]}...: its tokens would be other words; train it anew"
        )
    return shipped


def _empty(found: files.WeightsFile, words: Vocabulary | None) -> Autoencoder:
    """Without memory for its weights, but for the words."""
    settings = json.loads(found.header["autoencoder"])
    if words is not None:
        table = scaled_codebook(words, float(settings["word_length"]))
    else:
        table = torch.zeros([int(side) for side in json.loads(found.header["learned"])])
    size, layers, sharpness = str(settings["size"]), int(settings["layers"]), float(settings["sharpness"])
    with torch.device("meta"):
        return Autoencoder(size, table, layers, sharpness, learned=words is None)
