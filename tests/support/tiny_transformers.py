"""Tiny random networks of transformers, saved as its users save theirs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

VIT = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2}


def save(kind: str, folder: Path) -> Any:
    """A network of the kind in ``folder``: config.json and model.safetensors. Returns it, in eval mode."""
    import transformers as t

    torch.manual_seed(0)
    clip_vision = {**VIT, "intermediate_size": 64, "image_size": 32, "patch_size": 8}
    clip_text = {**VIT, "intermediate_size": 64, "vocab_size": 99, "bos_token_id": 1, "eos_token_id": 2}
    make = {
        "dinov2": lambda: t.Dinov2Model(t.Dinov2Config(**VIT, mlp_ratio=2, image_size=56, patch_size=14)),
        "registers": lambda: t.Dinov2WithRegistersModel(
            t.Dinov2WithRegistersConfig(**VIT, mlp_ratio=2, image_size=56, patch_size=14, num_register_tokens=4)
        ),
        "clip": lambda: t.CLIPModel(t.CLIPConfig(vision_config=clip_vision, text_config=clip_text)),
        "clip_vision": lambda: t.CLIPVisionModel(t.CLIPVisionConfig(**clip_vision)),
        "resnet": lambda: t.ResNetModel(
            t.ResNetConfig(embedding_size=8, hidden_sizes=[16, 24, 32, 40], depths=[1, 1, 1, 1])
        ),
    }[kind]
    network = make().eval()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.2, 0.2)
            module.running_var.uniform_(0.5, 1.5)
    network.save_pretrained(folder)
    return network
