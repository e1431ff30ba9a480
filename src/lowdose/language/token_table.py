"""The table of input embeddings of a language model's folder: one row for every token of its tokenizer.

Read straight from model.safetensors and the tokenizer's files; the model itself is not needed.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from lowdose.errors import IncompatibleCheckpoint

WEIGHTS = "model.safetensors"
TOKENS = ("tokenizer.json", "vocab.json", "vocab.txt")
FILES = (f"{WEIGHTS} of the model, for LEDA that of PubMedCLIP (ViT-B/32)", f"its {' or '.join(TOKENS)}")
"""What must lie in the folder, in words."""

PATTERNS = (WEIGHTS, *TOKENS)
_TABLES = ("token_embedding.weight", "word_embeddings.weight", "embed_tokens.weight", "wte.weight")
"""How the names of such tables end: CLIP, BERT and its kin, Llama and its kin, GPT-2."""


def read_token_table(folder: Path) -> tuple[tuple[str, ...], Tensor]:
    """Tokens by number, and their embeddings (V, C).

    Rows beyond the last token, which some models add to reach a round number, are left out.
    Raises IncompatibleCheckpoint naming the file that is missing, damaged or does not fit.
    """
    table = _table(folder / WEIGHTS)
    numbers = _numbers(folder)
    tokens = tuple(sorted(numbers, key=numbers.__getitem__))
    if not tokens or [numbers[token] for token in tokens] != list(range(len(tokens))) or len(tokens) > len(table):
        raise IncompatibleCheckpoint(
            f"{folder}: the tokenizer's {len(tokens)} tokens are not numbered 0 to {len(table) - 1} like the rows of "
            f"the table in {WEIGHTS}; copy both from one model"
        )
    return tokens, table[: len(tokens)]


def _table(path: Path) -> Tensor:
    if not path.is_file():
        raise IncompatibleCheckpoint(
            f"{path.parent}: has no {path.name} (pickled weights, pytorch_model.bin, are not read: "
            "AutoModel.from_pretrained(folder).save_pretrained(folder) writes it)"
        )
    try:
        with safe_open(path, framework="pt") as file:
            names = [name for name in file.keys() if name.endswith(_TABLES)]  # noqa: SIM118 (not a dict)
            found: list[Tensor] = [file.get_tensor(name) for name in names[:1]]
    except (OSError, SafetensorError) as error:
        raise IncompatibleCheckpoint(f"{path}: not a readable safetensors file ({error}); copy it again") from error
    if len(names) != 1:
        raise IncompatibleCheckpoint(
            f"{path}: has {len(names)} tensors whose name ends with {', '.join(_TABLES)}; a language model has one"
        )
    return found[0]


def _numbers(folder: Path) -> dict[str, int]:
    """Token -> number, from the first of ``TOKENS`` that is there."""
    path = next((folder / name for name in TOKENS if (folder / name).is_file()), None)
    if path is None:
        raise IncompatibleCheckpoint(
            f"{folder}: has no {', '.join(TOKENS)}; copy the tokenizer's files beside {WEIGHTS}"
        )
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".txt":
            return {token: number for number, token in enumerate(text.removesuffix("\n").split("\n"))}
        return _of_json(json.loads(text))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise IncompatibleCheckpoint(f"{path}: is no tokenizer's list of tokens ({error}); copy it again") from error


def _of_json(found: dict[str, Any]) -> dict[str, int]:
    """vocab.json is the mapping itself; tokenizer.json holds it, or a list of (token, score), and added tokens."""
    model = found.get("model")
    if not isinstance(model, dict):
        return {str(token): int(number) for token, number in found.items()}
    vocabulary = model["vocab"]
    if isinstance(vocabulary, list):
        numbers = {str(token): number for number, (token, _) in enumerate(vocabulary)}
    else:
        numbers = {str(token): int(number) for token, number in vocabulary.items()}
    return numbers | {added["content"]: int(added["id"]) for added in found.get("added_tokens", ())}
