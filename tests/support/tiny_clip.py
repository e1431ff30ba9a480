"""A CLIP of random weights, small enough to make in a test: letters for tokens, 32-pixel images."""

from __future__ import annotations

import json
import string
from pathlib import Path

import torch

SIDE = 32
MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.3, 0.25)


def make(folder: Path, seed: int = 0) -> Path:
    from transformers import CLIPConfig, CLIPModel, CLIPTokenizer

    letters = string.ascii_lowercase + string.digits + "<>/|!#"
    vocab = {token: n for n, token in enumerate([*letters, *(f"{letter}</w>" for letter in letters)])}
    for mark in ("<|startoftext|>", "<|endoftext|>"):
        vocab[mark] = len(vocab)
    tower = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = CLIPConfig(
        text_config={
            **tower, "vocab_size": len(vocab), "max_position_embeddings": 24, "bos_token_id": len(vocab) - 2,
            "eos_token_id": len(vocab) - 1, "pad_token_id": len(vocab) - 1,
        },
        vision_config={**tower, "image_size": SIDE, "patch_size": 8},
        projection_dim=12,
    )  # fmt: skip
    torch.manual_seed(seed)
    network = CLIPModel(config)
    for value in network.parameters():  # its own initialisation is too small to tell images apart
        torch.nn.init.normal_(value, std=0.3)
    network.save_pretrained(folder)
    CLIPTokenizer(vocab=vocab, merges=[]).save_pretrained(folder)
    seen = {"image_mean": MEAN, "image_std": STD, "crop_size": SIDE, "do_center_crop": True, "size": SIDE}
    (folder / "preprocessor_config.json").write_text(json.dumps(seen))
    return folder
