"""Explanation of a slice by the words of LEDA's token pyramid, each with the region of the image it stands for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from lowdose.errors import InvalidSetting
from lowdose.hounsfield import OBJECTIVE
from lowdose.image import AIR, HU
from lowdose.language.autoencoder_file import LanguageGuidedAutoencoder
from lowdose.language.body import Span, body_mask
from lowdose.language.certainty import certainties
from lowdose.language.relevance import Relevance
from lowdose.language.tissue import tissue_shares
from lowdose.language.vocabulary import Vocabulary
from lowdose.language.word_limits import WordLimits
from lowdose.networks.pyramid_quantiser import Quantised

WORD_LAYERS = 2
"""Layers, from the coarsest, that stand for regions and are read as words.

Finer layers have a token for every cell of the latents (LEDA, Fig. 3).
"""

NO_WORD = "no word"
"""What stands at a position whose word is not shown."""


@dataclass(frozen=True, eq=False)
class ExplainedLayer:
    """One layer of the token pyramid, at the h x w positions whose regions lie in the image.

    Attributes
    ----------
    tokens : (h, w) int64
        Numbers of the tokens in the vocabulary.
    words : (h, w), as a tuple of rows
        Words of the tokens; ``NO_WORD`` at positions whose word is not shown (``presentation.present``).
    readable : (h, w) bool
        Whether the token is a whole word.
    distance : (h, w), in the units of the codebook
        Euclidean distance of the layer's residual from its token.
    relevance : (h, w) or None
        How well each token fits the slice, from 0 to 1; None where it was not requested.
    rows, columns : h and w pairs (first, last)
        First pixel of the region of each position, and the one past its last, in the image as given.
    certainty : (h, w), 0 to 1
        How certain each word is (``certainty.certainties``); 0 for tokens that are no words of anatomy or imaging.
    body : (h, w), 0 to 1
        Share of each region that belongs to the body.
    plausible : (h, w) bool
        Whether the HU of each region allow its word (``tissue``); False for words that are none of anatomy or imaging.
    """

    tokens: NDArray[np.int64]
    words: tuple[tuple[str, ...], ...]
    readable: NDArray[np.bool_]
    distance: NDArray[np.float32]
    relevance: NDArray[np.float32] | None
    rows: tuple[Span, ...]
    columns: tuple[Span, ...]
    certainty: NDArray[np.float32]
    body: NDArray[np.float32]
    plausible: NDArray[np.bool_]

    @property
    def shown(self) -> NDArray[np.bool_]:
        """(h, w) whether a position has a word that a person can read."""
        return np.asarray(self.readable & (np.array(self.words) != NO_WORD), np.bool_)

    def listed(self) -> list[str]:
        """List the words of all positions that have one, row by row."""
        return [word for line in self.words for word in line if word != NO_WORD]


@dataclass(frozen=True, eq=False)
class Explanation:
    """A slice as words.

    Attributes
    ----------
    layers : tuple of ExplainedLayer
        Layers of the token pyramid, coarsest first.
    latents, embedding : (C, h, w), in the units of the codebook
        Latents before and after quantisation, at all cells that lie in the image.
    word_length : units of the codebook
        Root mean square length of a word.
    stride : pixels
        Side of a cell of the latents.
    shape : (y, x)
        Size of the image.
    limits : WordLimits
        Limits of the autoencoder for what is shown and flagged.
    """

    layers: tuple[ExplainedLayer, ...]
    latents: NDArray[np.float32]
    embedding: NDArray[np.float32]
    word_length: float
    stride: int
    shape: tuple[int, int]
    limits: WordLimits


@torch.inference_mode()
def explain_slice(
    guided: LanguageGuidedAutoencoder,
    hu: HU,
    pixel_mm: tuple[float, float] | None = None,
    relevance: Relevance | None = None,
) -> Explanation:
    """Explain a slice, (y, x) HU of any size, by words.

    guided: the autoencoder; relevance: provider of the relevance of each word, if requested; pixel_mm: spacing in mm
    between rows and between columns, for the relevance. NaN counts as air. The image is mirrored at its lower and right
    edges to a multiple of the stride, and to the smallest size in which every layer has a position; nothing is cropped,
    and regions end at the edges of the image. Raises InvalidSetting for an autoencoder whose codebook was learned,
    which has no words, and for an image that is not (y, x).
    """
    vocabulary_of(guided)
    if hu.ndim != 2 or not hu.size:
        raise InvalidSetting(f"an image of shape {hu.shape} to be explained: give one slice, (y, x)")
    autoencoder = guided.autoencoder
    device = next(autoencoder.parameters()).device
    parts, stride = autoencoder.quantiser.parts, autoencoder.stride
    filled = np.nan_to_num(hu, nan=float(AIR))
    padded = _mirror_far_edges(filled, stride, autoencoder.smallest)
    image = torch.from_numpy(padded)[None, None]
    latents = autoencoder.encode(OBJECTIVE.encode(image.to(device).clamp(OBJECTIVE.low, OBJECTIVE.high))).float()
    quantised = autoencoder.quantise(latents)
    scores = None if relevance is None else relevance.scores(hu, pixel_mm)
    cells_down, cells_across = (-(-side // stride) for side in hu.shape)
    return Explanation(
        tuple(_explain_layer(number, quantised, latents, guided, scores, filled) for number in range(len(parts))),
        latents[0, :, :cells_down, :cells_across].cpu().numpy(),
        quantised.embedding[0, :, :cells_down, :cells_across].cpu().numpy(),
        float(autoencoder.codebook.double().square().sum(1).mean().sqrt()),
        stride,
        (hu.shape[0], hu.shape[1]),
        guided.limits,
    )


def vocabulary_of(guided: LanguageGuidedAutoencoder) -> Vocabulary:
    """Return the vocabulary of an autoencoder. Raises InvalidSetting when its codebook was learned."""
    if guided.vocabulary is None:
        raise InvalidSetting(
            f"autoencoder '{guided.name}': its codebook was learned, so its tokens are no words; take one that was "
            "trained on a vocabulary ('lowdose train leda_autoencoder' with learned_tokens=0)"
        )
    return guided.vocabulary


def _mirror_far_edges(hu: HU, stride: int, smallest: int) -> HU:
    """Pad an image at its lower and right edges to multiples of the stride, and at least ``smallest``, by mirroring.

    The edge pixel is repeated, and the image is mirrored as often as needed, so that even a single pixel can be padded.
    """
    padding = [(0, max(smallest, -(-side // stride) * stride) - side) for side in hu.shape]
    return np.ascontiguousarray(np.pad(hu, padding, mode="symmetric"), np.float32)


def spans(part: slice, cells: int, stride: int, side: int) -> tuple[Span, ...]:
    """Return the regions of a layer along one axis of ``side`` pixels, as pairs of first pixel and one past the last.

    The region of a position is its block of cells; the last one extends to the edge. Regions wholly outside the image
    are left out. part: positions of the layer (``pyramid_quantiser.positions``) among ``cells``; stride: pixels a cell.
    """
    step = part.step or 1
    count = len(range(cells)[part])
    regions = []
    for number in range(count):
        first = number * step * stride
        last = side if number == count - 1 else min(first + step * stride, side)
        if first < side:
            regions.append((first, last))
    return tuple(regions)


def _explain_layer(
    number: int,
    quantised: Quantised,
    latents: torch.Tensor,
    guided: LanguageGuidedAutoencoder,
    scores: NDArray[np.float32] | None,
    hu: HU,
) -> ExplainedLayer:
    words, network = vocabulary_of(guided), guided.autoencoder
    parts, stride = network.quantiser.parts, network.stride
    part = parts[number]
    rows, columns = (spans(part, cells, stride, side) for cells, side in zip(latents.shape[2:], hu.shape, strict=True))
    in_image = (slice(len(rows)), slice(len(columns)))
    tokens = quantised.indices[number][0].cpu().numpy()[in_image]
    # The average of n tokens is n times as close to the latent as the last token is to the last residual, since the
    # errors of the layers telescope.
    so_far = torch.from_numpy(_tokens_so_far(number, parts, latents.shape[2:])).to(latents.device)
    error = ((latents[0][:, part, part] - quantised.averages[number][0]) * so_far)[:, *in_image]
    residuals = error + network.codebook[torch.from_numpy(tokens).to(latents.device)].permute(2, 0, 1)
    content = tissue_shares(hu, body_mask(hu), rows, columns)
    return ExplainedLayer(
        tokens=tokens,
        words=tuple(tuple(words.tokens[token] for token in line) for line in tokens),
        readable=words.readable[tokens],
        distance=error.norm(dim=0).cpu().numpy(),
        relevance=None if scores is None else scores[tokens],
        rows=rows,
        columns=columns,
        certainty=certainties(residuals, tokens, words, network.codebook, network.sharpness),
        body=content.body,
        plausible=content.allow([[words.words[token] for token in line] for line in tokens]),
    )


def _tokens_so_far(number: int, parts: Sequence[slice], cells: Sequence[int]) -> NDArray[np.int64]:
    """Count the tokens that each position of layer ``number`` has in this layer and all coarser ones."""
    count = np.zeros(tuple(cells), np.int64)
    for part in parts[: number + 1]:
        count[part, part] += 1
    return count[parts[number], parts[number]]
