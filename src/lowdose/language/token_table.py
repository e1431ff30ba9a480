"""The table of input embeddings of a language model, with one row for every token of its tokenizer.

It is read directly from model.safetensors and the tokenizer's files in the model's folder; the model is not built.
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
"""Descriptions of the files that must be in the folder, for error messages."""

PATTERNS = (WEIGHTS, *TOKENS)
_TABLES = ("token_embedding.weight", "word_embeddings.weight", "embed_tokens.weight", "wte.weight")
"""Endings of the names of such tables: CLIP, BERT and relatives, Llama and relatives, GPT-2."""


def read_token_table(folder: Path) -> tuple[tuple[str, ...], Tensor]:
    """Read the tokens of a model, ordered by number, and their embeddings (V, C).

    Rows beyond the last token, which some models add to reach a round number, are left out. Raises
    IncompatibleCheckpoint with the name of the file that is missing, damaged or does not fit.
    """
    table = _read_embeddings(folder / WEIGHTS)
    numbers = _read_token_numbers(folder)
    tokens = tuple(sorted(numbers, key=numbers.__getitem__))
    if not tokens or [numbers[token] for token in tokens] != list(range(len(tokens))) or len(tokens) > len(table):
        raise IncompatibleCheckpoint(
            f"{folder}: the tokenizer's {len(tokens)} tokens are not numbered 0 to {len(table) - 1} like the rows of "
            f"the table in {WEIGHTS}; copy both from one model"
        )
    return tokens, table[: len(tokens)]


def _read_embeddings(path: Path) -> Tensor:
    if not path.is_file():
        raise IncompatibleCheckpoint(
            f"{path.parent}: has no {path.name} (pickled weights, pytorch_model.bin, are not read: "
            "AutoModel.from_pretrained(folder).save_pretrained(folder) writes it)"
        )
    try:
        with safe_open(path, framework="pt") as file:
            names = [name for name in file.keys() if name.endswith(_TABLES)]  # noqa: SIM118 (not a dict)
            tables: list[Tensor] = [file.get_tensor(name) for name in names[:1]]
    except (OSError, SafetensorError) as error:
        raise IncompatibleCheckpoint(f"{path}: not a readable safetensors file ({error}); copy it again") from error
    if len(names) != 1:
        raise IncompatibleCheckpoint(
            f"{path}: has {len(names)} tensors whose name ends with {', '.join(_TABLES)}; a language model has one"
        )
    return tables[0]


def _read_token_numbers(folder: Path) -> dict[str, int]:
    """Read the number of each token from the first file of ``TOKENS`` that exists."""
    path = next((folder / name for name in TOKENS if (folder / name).is_file()), None)
    if path is None:
        raise IncompatibleCheckpoint(
            f"{folder}: has no {', '.join(TOKENS)}; copy the tokenizer's files beside {WEIGHTS}"
        )
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".txt":
            return {token: number for number, token in enumerate(text.removesuffix("\n").split("\n"))}
        return _numbers_from_json(json.loads(text))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise IncompatibleCheckpoint(f"{path}: is no tokenizer's list of tokens ({error}); copy it again") from error


def _numbers_from_json(content: dict[str, Any]) -> dict[str, int]:
    """Return the number of each token from the content of a vocab.json or a tokenizer.json.

    vocab.json is the mapping itself; tokenizer.json holds it, or a list of (token, score), together with added tokens.
    """
    model = content.get("model")
    if not isinstance(model, dict):
        return {str(token): int(number) for token, number in content.items()}
    vocabulary = model["vocab"]
    if isinstance(vocabulary, list):
        numbers = {str(token): number for number, (token, _) in enumerate(vocabulary)}
    else:
        numbers = {str(token): int(number) for token, number in vocabulary.items()}
    return numbers | {added["content"]: int(added["id"]) for added in content.get("added_tokens", ())}
