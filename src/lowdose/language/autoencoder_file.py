"""Weights files of LEDA's language-guided autoencoder: one safetensors file holds the weights and the vocabulary."""

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
from lowdose.language.word_limits import DEFAULT_LIMITS, WordLimits, read_limits
from lowdose.networks.autoencoder import Autoencoder
from lowdose.networks.denoiser import channels_last
from lowdose.weights import files
from lowdose.weights.identity import shipped_weights

FORMAT = "lowdose-autoencoder-1"
DEFAULT = "leda_autoencoder"
TEACHER = "leda_teacher"
"""Shipped autoencoder that sees texture, whose words are more often right. Drift is measured with ``DEFAULT``, which is
blind to noise: removing noise must not count as a change."""
WORDS = "vocabulary.embeddings"


@dataclass(frozen=True)
class LanguageGuidedAutoencoder:
    """Autoencoder of LEDA as loaded from a file, with its vocabulary.

    Attributes
    ----------
    name : str
        Name or path that it was loaded by.
    sha256 : str
        Hash of its file.
    autoencoder : Autoencoder
        The network, in eval mode and without gradients.
    vocabulary : Vocabulary or None
        Words of its tokens; None when its codebook was learned.
    training : mapping
        Record of its training.
    limits : WordLimits
        Limits of what is shown and flagged of its words.
    """

    name: str
    sha256: str
    autoencoder: Autoencoder
    vocabulary: Vocabulary | None
    training: Mapping[str, object]
    limits: WordLimits = DEFAULT_LIMITS


def scaled_codebook(words: Vocabulary, word_length: float) -> Tensor:
    """Return the embeddings (V, C), scaled by one factor to a root mean square length of ``word_length``.

    A ``word_length`` of 0 leaves them unscaled.
    """
    if not word_length:
        return words.embeddings
    return words.embeddings * (word_length / float(words.embeddings.square().sum(1).mean().sqrt()))


def serialise_autoencoder(
    autoencoder: Autoencoder,
    words: Vocabulary | None,
    word_length: float,
    training: Mapping[str, object],
    dtype: torch.dtype = torch.float32,
    limits: WordLimits | None = None,
) -> bytes:
    """Return the bytes of a weights file that ``load_autoencoder`` reads.

    The shipped vocabulary is stated by its hash; any other one is stored in the file. limits: those that were
    calibrated for this autoencoder; without them the file is read with the defaults.
    """
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
        **({} if limits is None else limits.to_header()),
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
    """Load a shipped autoencoder by name, or a file that the recipe ``leda_autoencoder`` wrote.

    Raises IncompatibleCheckpoint, with the name of the file and a remedy, when the file is damaged, of another kind, or
    was trained with another vocabulary than the one that is shipped now.
    """
    name = str(source)
    known = shipped_weights("autoencoder")
    if name not in known and not Path(source).exists():
        raise IncompatibleCheckpoint(
            f"no autoencoder '{name}': neither a file nor a shipped one ({', '.join(sorted(known)) or 'none'}); "
            "'lowdose train leda_autoencoder' writes one"
        )
    weights_file = files.read_shipped(name) if name in known else files.read_weights(Path(source))
    file_format = weights_file.header.get("format", "not stated")
    if file_format != FORMAT:
        raise IncompatibleCheckpoint(
            f"{name}: its format is '{file_format}', an autoencoder has '{FORMAT}'; "
            "'lowdose train leda_autoencoder' writes one"
        )
    words = None if "learned" in weights_file.header else _read_vocabulary(weights_file, name)
    try:
        autoencoder = _build_without_weights(weights_file, words)
        training = dict(json.loads(weights_file.header["training"]))
        limits = read_limits(weights_file.header)
    except Exception as error:  # a damaged description can be wrong in any way
        raise IncompatibleCheckpoint(f"{name}: its description is damaged ({error}); copy it again") from error
    tensors = {key: value for key, value in weights_file.tensors.items() if key != WORDS}
    files.load_weights(autoencoder, tensors, name, "the autoencoder")
    channels_last(autoencoder)
    autoencoder = autoencoder.to(device).eval().requires_grad_(False)
    return LanguageGuidedAutoencoder(name, weights_file.sha256, autoencoder, words, training, limits)


def _read_vocabulary(weights_file: files.WeightsFile, name: str) -> Vocabulary:
    """Return the vocabulary in the file, or the shipped one if it has the hash that the file states."""
    if WORDS in weights_file.tensors:
        try:
            tokens = tuple(map(str, json.loads(weights_file.header["tokens"])))
            return Vocabulary(tokens, weights_file.tensors[WORDS], weights_file.header["provenance"])
        except Exception as error:  # a damaged description can be wrong in any way
            raise IncompatibleCheckpoint(f"{name}: its own words are damaged ({error}); copy it again") from error
    shipped = vocabulary.load_vocabulary()
    stated = weights_file.header.get("vocabulary")
    if stated != shipped.sha256:
        raise IncompatibleCheckpoint(
            f"{name}: was trained with a table of words of SHA-256 {str(stated)[:16]}..., the "
            f"shipped one has {shipped.sha256[:16]}...: its tokens would be other words; train it anew"
        )
    return shipped


def _build_without_weights(weights_file: files.WeightsFile, words: Vocabulary | None) -> Autoencoder:
    """Build the network on the meta device, without memory for its weights; only the codebook is filled in."""
    settings = json.loads(weights_file.header["autoencoder"])
    if words is not None:
        table = scaled_codebook(words, float(settings["word_length"]))
    else:
        table = torch.zeros([int(side) for side in json.loads(weights_file.header["learned"])])
    size, layers, sharpness = str(settings["size"]), int(settings["layers"]), float(settings["sharpness"])
    with torch.device("meta"):
        return Autoencoder(size, table, layers, sharpness, learned=words is None)
