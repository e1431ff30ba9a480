"""Tokens and their frozen embeddings: the codebook of LEDA's autoencoder (Chen et al. 2024, section 2.1), Z_LLM.

The paper takes PubMedCLIP's token table (49,408 x 512). Without it there is the shipped table of whole words, each
embedded by a small sentence encoder as 'A CT of {word}': see ``zoo/words.md``.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from lowdose.errors import IncompatibleCheckpoint, NothingToRead
from lowdose.language import spelling, token_table
from lowdose.language.model_folder import find_folder
from lowdose.weights import files

DEFAULT = "words"
OWN = (
    "a vocabulary of one's own is a .safetensors file with the tensor 'embeddings' (tokens, channels) and its tokens, "
    "as a JSON list under 'tokens' in the header or one a line in a .txt file of the same name"
)


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """V different tokens, ``embeddings`` (V, C) float32 without gradient, and where both come from.

    Raises IncompatibleCheckpoint for a table that does not fit the tokens, holds NaN or infinity, or gives two tokens
    one embedding: the nearest token would never be the second of them.
    """

    tokens: tuple[str, ...]
    embeddings: Tensor
    provenance: str

    def __post_init__(self) -> None:
        _check(self.tokens, self.embeddings, self.provenance)
        object.__setattr__(self, "embeddings", self.embeddings.detach().to("cpu", torch.float32).contiguous())
        _check_rows(self.tokens, self.embeddings, self.provenance)

    def __len__(self) -> int:
        return len(self.tokens)

    @cached_property
    def words(self) -> tuple[str | None, ...]:
        """(V) the word each token spells, in lower case, None for pieces of words, numbers and signs."""
        return spelling.whole_words(self.tokens)

    @cached_property
    def readable(self) -> NDArray[np.bool_]:
        """(V) whole words of letters that a person can read: what explanations are made of."""
        return np.array([spelling.readable(word) for word in self.words], dtype=np.bool_)

    @cached_property
    def sha256(self) -> str:
        """Hash of tokens and embeddings, whatever file they came in."""
        found = hashlib.sha256(json.dumps([self.tokens, self.embeddings.shape[1]]).encode())
        found.update(self.embeddings.numpy().tobytes())
        return found.hexdigest()


def load_vocabulary(source: str | Path | None = None, *, fetch: bool = False) -> Vocabulary:
    """The shipped vocabulary (None or its name), one's own file, or the token table of a language model.

    source: a shipped name, a .safetensors file (``OWN``), or a model's folder or hub name, of which the table of input
    embeddings is taken (``token_table``). fetch: whether a hub name may be downloaded.
    Raises NothingToRead when there is nothing of that name, IncompatibleCheckpoint for files that cannot be used,
    DownloadFailed for a hub name that was to be fetched and cannot.
    """
    given = str(source or DEFAULT)
    if given in files.shipped_weights("vocabulary"):
        found = files.read_shipped(given)
        return Vocabulary(_named(found, given), read_embeddings(found, given), f"shipped table '{given}'")
    if given.endswith(".safetensors"):
        return _own(Path(given))
    folder = find_folder(given, fetch, token_table.FILES, token_table.PATTERNS)
    return Vocabulary(*token_table.read_token_table(folder), f"token table of {given}")


def read_embeddings(found: files.WeightsFile, named: str, tensor: str = "embeddings") -> Tensor:
    """A table of a file as float32. Integers are directions, stored short: each row is made of length 1."""
    table = found.tensors.get(tensor)
    if table is None:
        raise IncompatibleCheckpoint(f"{named}: has no tensor '{tensor}'; {OWN}")
    return table.float() if table.is_floating_point() else functional.normalize(table.float(), dim=-1)


def _own(path: Path) -> Vocabulary:
    if not path.is_file():
        raise NothingToRead(f"{path}: no such file; {OWN}")
    found = files.read_weights(path)
    return Vocabulary(_named(found, str(path)), read_embeddings(found, str(path)), str(path))


def _named(found: files.WeightsFile, named: str) -> tuple[str, ...]:
    """The tokens in a file's header, or in the text file beside it."""
    beside = Path(named).with_suffix(".txt")
    if "tokens" not in found.header and not beside.is_file():
        raise IncompatibleCheckpoint(f"{named}: names no tokens, nor does {beside}; {OWN}")
    try:
        if "tokens" not in found.header:
            return tuple(beside.read_text(encoding="utf-8").removesuffix("\n").split("\n"))
        tokens = json.loads(found.header["tokens"])
    except (OSError, ValueError) as error:
        raise IncompatibleCheckpoint(f"{named}: its list of tokens cannot be read ({error}); {OWN}") from error
    if not isinstance(tokens, list) or not all(isinstance(token, str) for token in tokens):
        raise IncompatibleCheckpoint(f"{named}: its 'tokens' are no list of texts; {OWN}")
    return tuple(tokens)


def _check(tokens: tuple[str, ...], table: Tensor, named: str) -> None:
    if table.ndim != 2 or len(table) != len(tokens) or not table.numel():
        raise IncompatibleCheckpoint(
            f"{named}: {len(tokens)} tokens for a table of {tuple(table.shape)}; it needs one row a token"
        )
    broken = torch.nonzero(~table.isfinite().all(1))
    if len(broken):
        raise IncompatibleCheckpoint(
            f"{named}: the embedding of token {int(broken[0])} ('{tokens[int(broken[0])]}') holds NaN or infinity, so "
            f"do {len(broken) - 1} more; copy the file again"
        )


def _check_rows(tokens: tuple[str, ...], table: Tensor, named: str) -> None:
    """Neither tokens nor embeddings may stand twice."""
    seen: dict[str, int] = {}
    rows: dict[bytes, int] = {}
    for index, (token, row) in enumerate(zip(tokens, (table + 0.0).numpy(), strict=True)):  # + 0.0: -0 is 0
        other = seen.setdefault(token, index)
        if other != index:
            raise IncompatibleCheckpoint(
                f"{named}: tokens {other} and {index} are both '{token}'; leave one of them out"
            )
        other = rows.setdefault(row.tobytes(), index)
        if other != index:
            raise IncompatibleCheckpoint(
                f"{named}: tokens {other} ('{tokens[other]}') and {index} ('{token}') have one and the same embedding; "
                "leave one of them out"
            )
