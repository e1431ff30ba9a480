"""CLIP models, with image and text encoder, through the library ``transformers``, from a folder or by a hub name."""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lowdose.errors import IncompatibleCheckpoint, InvalidSetting
from lowdose.language.model_folder import find_folder
from lowdose.networks.features import hub, settings
from lowdose.networks.features.input_transform import OPENAI_CLIP, ChannelStatistics

_TOKENIZER = "tokenizer.json (or vocab.json and merges.txt)"
FILES = (
    f"{hub.CONFIG}, {hub.WEIGHTS} and {_TOKENIZER} of a CLIP model, for LEDA those of PubMedCLIP (ViT-B/32)",
    f"where there is one, its {hub.PREPROCESSING}",
)
PATTERNS = (
    hub.CONFIG, hub.WEIGHTS, hub.PREPROCESSING, "tokenizer.json", "tokenizer_config.json", "vocab.json", "merges.txt",
    "special_tokens_map.json",
)  # fmt: skip


@dataclass(frozen=True)
class ClipModel:
    """A CLIP model with its tokenizer.

    Attributes
    ----------
    network : transformers.CLIPModel
        Image and text encoder.
    tokenizer : Any
        Tokenizer of the text encoder.
    statistics : ChannelStatistics
        Normalisation of the images.
    side : pixels
        Side of the images.
    """

    network: Any
    tokenizer: Any
    statistics: ChannelStatistics
    side: int

    @property
    def width(self) -> int:
        """Channels of the embedding space that images and texts share."""
        return int(self.network.config.projection_dim)

    def image_features(self, image: Tensor) -> Tensor:
        """Embed images: (B, 3, side, side) -> (B, width), not normalised."""
        pooled = self.network.vision_model(pixel_values=image.to(self.network.device)).pooler_output
        features: Tensor = self.network.visual_projection(pooled)
        return features

    def text_features(self, texts: Sequence[str]) -> Tensor:
        """Embed B texts: (B, width), not normalised. Texts longer than the model accepts are truncated."""
        longest = int(self.network.config.text_config.max_position_embeddings)
        ids = self.tokenizer(list(texts), padding=True, truncation=True, max_length=longest, return_tensors="pt")
        output = self.network.text_model(
            input_ids=ids["input_ids"].to(self.network.device),
            attention_mask=ids["attention_mask"].to(self.network.device),
        )
        features: Tensor = self.network.text_projection(output.pooler_output)
        return features

    def fingerprint(self) -> str:
        """Return a hash of everything that the embedding of a text depends on: tokenizer, text encoder, weights."""
        backend = self.tokenizer.backend_tokenizer
        tokenizer = type(backend).from_str(backend.to_str())
        tokenizer.no_padding()  # every call leaves behind how it padded and truncated
        tokenizer.no_truncation()
        digest = hashlib.sha256(tokenizer.to_str().encode())
        digest.update(self.network.config.text_config.to_json_string().encode())
        for name, value in sorted(self.network.state_dict().items()):
            if name.startswith("text_"):
                digest.update(name.encode())
                digest.update(value.cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()


def load_clip(model: str | Path, device: torch.device | str = "cpu", fetch: bool = False) -> ClipModel:
    """Load a CLIP model in float32, frozen, from a folder or by a hub name.

    fetch: whether a hub name may be downloaded. Raises InvalidSetting without transformers; NothingToRead when there is
    no such model; DownloadFailed when an allowed download failed; IncompatibleCheckpoint for files that are missing, of
    another architecture, incomplete or not finite.
    """
    transformers = _import_transformers()
    folder = find_folder(str(model), fetch, FILES, PATTERNS)
    _check_files(folder)
    network, missing, broken = hub.from_folder(transformers.CLIPModel, folder)
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # a damaged folder can raise any exception
        first = (str(error).strip().splitlines() or [""])[0]
        raise IncompatibleCheckpoint(
            f"{folder}: its tokenizer cannot be loaded ({type(error).__name__}: {first}); copy its files again"
        ) from error
    if missing or broken:
        raise IncompatibleCheckpoint(
            f"{folder / hub.WEIGHTS}: weights '{[*missing, *broken][0]}' are {'missing' if missing else 'not finite'}; "
            "copy the whole file again"
        )
    vision = network.config.vision_config
    statistics, _ = settings.input_statistics(folder / hub.PREPROCESSING, OPENAI_CLIP, vision.image_size)
    network = network.to(device).eval().requires_grad_(False)
    return ClipModel(network, tokenizer, statistics, int(vision.image_size))


def _import_transformers() -> Any:
    hub.hide_broken_torchvision()
    try:
        return importlib.import_module("transformers")
    except ImportError as error:
        raise InvalidSetting(
            f"relevance by a CLIP model needs the Python package transformers 5 or later ({error}): "
            "pip install 'transformers>=5'; without it take the embedded relevance of the anatomy network"
        ) from error


def _check_files(folder: Path) -> None:
    needed = f"needs {'; '.join(FILES)}"
    for name in (hub.CONFIG, hub.WEIGHTS):
        if not (folder / name).is_file():
            raise IncompatibleCheckpoint(
                f"{folder}: has no {name} (pickled weights, pytorch_model.bin, are not read: "
                f"CLIPModel.from_pretrained(folder).save_pretrained(folder) writes it); {needed}"
            )
    if not (folder / "tokenizer.json").is_file() and not (
        (folder / "vocab.json").is_file() and (folder / "merges.txt").is_file()
    ):
        raise IncompatibleCheckpoint(f"{folder}: has no {_TOKENIZER}; {needed}")
    model_type = settings.read_settings(folder / hub.CONFIG).get("model_type")
    if model_type != "clip":
        raise IncompatibleCheckpoint(f"{folder / hub.CONFIG}: its model_type is '{model_type}', not 'clip'; {needed}")
