"""Relevance of words by a CLIP model, such as PubMedCLIP: the cosine of image and prompt embeddings (LEDA, 2.1)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from lowdose.errors import InvalidSetting
from lowdose.hounsfield import SOFT_TISSUE
from lowdose.image import AIR, HU
from lowdose.language import spelling
from lowdose.language.clip_model import ClipModel, load_clip
from lowdose.language.relevance import Scores, min_max
from lowdose.language.text_cache import cached_embeddings, default_folder
from lowdose.language.vocabulary import Vocabulary

PROMPT = "A CT of {token}"
"""Prompt of LEDA's authors."""

_BATCH = 256


class ClipRelevance:
    """Relevance of all tokens by a CLIP model: cosines of image and prompts, min-max scaled for each image.

    The preprocessing is CLIP's own: the window ``hounsfield.SOFT_TISSUE`` is mapped to [0, 1] in three channels, the
    shorter side is resized to the model's size (bicubic, antialiased), the central square is cropped, and the result is
    normalised by the model's mean and standard deviation. Prompts hold the bare word, as in 'A CT of liver'.

    With ``released``, preprocessing and prompts are those of the authors' code, for comparison with its lists of
    candidates: the whole image is resized to the model's square, bilinear without antialiasing, and not normalised;
    prompts hold the raw tokens of the vocabulary, as in 'A CT of liver</w>'.
    """

    def __init__(
        self,
        words: Vocabulary,
        model: ClipModel | str | Path,
        *,
        prompt: str = PROMPT,
        released: bool = False,
        cache: Path | None = None,
        device: torch.device | str = "cpu",
        fetch: bool = False,
    ) -> None:
        """Embed the prompts of all tokens, or read them from the cache.

        model: a loaded model, or the folder or hub name of one; cache: folder for embedded prompts (``text_cache``);
        fetch: whether a hub name may be downloaded. Embedding 49,408 prompts takes minutes on a CPU, once. Raises
        InvalidSetting for a prompt without '{token}', and the errors of ``load_clip``.
        """
        if "{token}" not in prompt:
            raise InvalidSetting(f"prompt '{prompt}': must hold '{{token}}', as in '{PROMPT}'")
        self.released = released
        self.model = model if isinstance(model, ClipModel) else load_clip(model, device, fetch)
        spellings = words.tokens if released else [spelling.bare(token) for token in words.tokens]
        texts = [prompt.replace("{token}", token) for token in spellings]
        self._words = words
        self._texts = cached_embeddings(
            cache or default_folder(),
            (self.model.fingerprint(), words.sha256, prompt, "raw keys" if released else "bare words"),
            (len(texts), self.model.width),
            lambda: embed_texts(self.model, texts),
        )

    def scores(self, hu: HU, pixel_mm: tuple[float, float] | None = None) -> Scores:
        """Score all tokens for a slice, as ``Relevance.scores``; the pixel size is not used."""
        relevance: Scores = self.batch(hu[None])[0]
        return relevance

    @torch.inference_mode()
    def batch(self, hu: NDArray[np.float32]) -> Scores:
        """Score all tokens for each of a batch of slices: (B, y, x) HU -> (B, V)."""
        rgb = (released_clip_input if self.released else clip_input)(torch.from_numpy(apply_window(hu)), self.model)
        features = functional.normalize(self.model.image_features(rgb).float(), dim=-1).cpu()
        return min_max((features @ self._texts.T).numpy())

    def vocabulary(self) -> Vocabulary:
        """Return a vocabulary of the whole words among the tokens, with the embeddings of their prompts.

        Each word occurs once. Unlike the model's table of token embeddings, the embedding of a prompt covers a word
        that the tokeniser splits into several tokens. Raises IncompatibleCheckpoint when there is no whole word.
        """
        rows: dict[str, int] = {}
        for row, word in enumerate(self._words.words):
            if word is not None:
                rows.setdefault(word, row)
        provenance = f"prompts of the whole words of {self._words.provenance} through CLIP"
        return Vocabulary(tuple(rows), self._texts[list(rows.values())], provenance)


def apply_window(hu: NDArray[np.floating]) -> NDArray[np.float32]:
    """Map the soft-tissue window to [0, 1]: (B, y, x) HU -> (B, 1, y, x). NaN counts as air."""
    unit: NDArray[Any] = SOFT_TISSUE.apply(np.nan_to_num(hu, nan=float(AIR)))
    return unit[:, None].astype(np.float32)


def clip_input(unit: Tensor, model: ClipModel) -> Tensor:
    """Preprocess images as in the training of CLIP: (B, 1, y, x) in [0, 1] -> (B, 3, side, side)."""
    height, width = unit.shape[-2:]
    scale = model.side / min(height, width)
    size = [max(model.side, round(height * scale)), max(model.side, round(width * scale))]
    image = functional.interpolate(unit, size=size, mode="bicubic", align_corners=False, antialias=True).clamp(0.0, 1.0)
    top, left = (size[0] - model.side) // 2, (size[1] - model.side) // 2
    square = image[..., top : top + model.side, left : left + model.side]
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in model.statistics)
    return (square - mean) / std


def released_clip_input(unit: Tensor, model: ClipModel) -> Tensor:
    """Preprocess images as LEDA's released code does: (B, 1, y, x) in [0, 1] -> (B, 3, side, side)."""
    size = (model.side, model.side)
    return functional.interpolate(unit, size=size, mode="bilinear", align_corners=False).expand(-1, 3, -1, -1)


@torch.inference_mode()
def embed_texts(model: ClipModel, texts: Sequence[str]) -> Tensor:
    """Return embeddings (V, C) of V texts, of unit length."""
    parts = [model.text_features(texts[start : start + _BATCH]) for start in range(0, len(texts), _BATCH)]
    return functional.normalize(torch.cat(parts).float(), dim=-1).cpu()
