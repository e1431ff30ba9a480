"""Vocabularies of tokens with frozen embeddings: the codebook Z_LLM of LEDA's autoencoder (Chen et al. 2024, 2.1).

The paper uses PubMedCLIP's token table (49,408 x 512). The default is a shipped table of whole words, each embedded by
a small sentence encoder as 'A CT of {word}'; see ``zoo/words.md``.
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
from lowdose.weights.identity import shipped_weights

DEFAULT = "words"
_FILE_FORMAT = (
    "a vocabulary of one's own is a .safetensors file with the tensor 'embeddings' (tokens, channels) and its tokens, "
    "as a JSON list under 'tokens' in the header or one a line in a .txt file of the same name"
)


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """Tokens with their embeddings.

    Raises IncompatibleCheckpoint for embeddings that do not fit the tokens or hold NaN or infinity, for a token that
    occurs twice, and for two tokens with the same embedding: the nearest token would never be the second of them.

    Attributes
    ----------
    tokens : tuple of str
        V different tokens.
    embeddings : (V, C) float32
        Embeddings of the tokens, without gradient.
    provenance : str
        Description of the source of both.
    """

    tokens: tuple[str, ...]
    embeddings: Tensor
    provenance: str

    def __post_init__(self) -> None:
        _check_values(self.tokens, self.embeddings, self.provenance)
        object.__setattr__(self, "embeddings", self.embeddings.detach().to("cpu", torch.float32).contiguous())
        _check_rows(self.tokens, self.embeddings, self.provenance)

    def __len__(self) -> int:
        return len(self.tokens)

    @cached_property
    def words(self) -> tuple[str | None, ...]:
        """(V,) the word that each token spells, in lower case; None for pieces of words, numbers and signs."""
        return spelling.whole_words(self.tokens)

    @cached_property
    def readable(self) -> NDArray[np.bool_]:
        """(V,) whether each token is a whole word that a person can read; explanations consist of these."""
        return np.array([spelling.readable(word) for word in self.words], dtype=np.bool_)

    @cached_property
    def sha256(self) -> str:
        """Hash of tokens and embeddings, independent of the file they come from."""
        digest = hashlib.sha256(json.dumps([self.tokens, self.embeddings.shape[1]]).encode())
        digest.update(self.embeddings.numpy().tobytes())
        return digest.hexdigest()


def load_vocabulary(source: str | Path | None = None, *, fetch: bool = False) -> Vocabulary:
    """Load a shipped vocabulary, the user's own file, or the token table of a language model.

    source: the name of a shipped vocabulary; None for the default; a .safetensors file with a tensor 'embeddings'
    (tokens, channels) and its tokens, as a JSON list under 'tokens' in the header or one a line in a .txt file of the
    same name; or the folder or hub name of a model, whose table of input embeddings is read (``token_table``). fetch:
    whether a hub name may be downloaded.

    Raises NothingToRead when there is nothing of that name, IncompatibleCheckpoint for files that cannot be used, and
    DownloadFailed when an allowed download failed.
    """
    given = str(source or DEFAULT)
    if given in shipped_weights("vocabulary"):
        shipped = files.read_shipped(given)
        return Vocabulary(_read_tokens(shipped, given), read_embeddings(shipped, given), f"shipped table '{given}'")
    if given.endswith(".safetensors"):
        return _load_file(Path(given))
    folder = find_folder(given, fetch, token_table.FILES, token_table.PATTERNS)
    return Vocabulary(*token_table.read_token_table(folder), f"token table of {given}")


def read_embeddings(found: files.WeightsFile, named: str, tensor: str = "embeddings") -> Tensor:
    """Return a table of a weights file as float32.

    A table of integers holds directions in a compact form: each of its rows is normalised to length 1. named: name of
    the file, for error messages. Raises IncompatibleCheckpoint when the tensor is absent.
    """
    table = found.tensors.get(tensor)
    if table is None:
        raise IncompatibleCheckpoint(f"{named}: has no tensor '{tensor}'; {_FILE_FORMAT}")
    return table.float() if table.is_floating_point() else functional.normalize(table.float(), dim=-1)


def _load_file(path: Path) -> Vocabulary:
    if not path.is_file():
        raise NothingToRead(f"{path}: no such file; {_FILE_FORMAT}")
    weights_file = files.read_weights(path)
    return Vocabulary(_read_tokens(weights_file, str(path)), read_embeddings(weights_file, str(path)), str(path))


def _read_tokens(weights_file: files.WeightsFile, named: str) -> tuple[str, ...]:
    """Return the tokens in the header of a weights file, or in the text file beside it."""
    text_file = Path(named).with_suffix(".txt")
    if "tokens" not in weights_file.header and not text_file.is_file():
        raise IncompatibleCheckpoint(f"{named}: names no tokens, nor does {text_file}; {_FILE_FORMAT}")
    try:
        if "tokens" not in weights_file.header:
            return tuple(text_file.read_text(encoding="utf-8").removesuffix("\n").split("\n"))
        tokens = json.loads(weights_file.header["tokens"])
    except (OSError, ValueError) as error:
        raise IncompatibleCheckpoint(f"{named}: its list of tokens cannot be read ({error}); {_FILE_FORMAT}") from error
    if not isinstance(tokens, list) or not all(isinstance(token, str) for token in tokens):
        raise IncompatibleCheckpoint(f"{named}: its 'tokens' are no list of texts; {_FILE_FORMAT}")
    return tuple(tokens)


def _check_values(tokens: tuple[str, ...], table: Tensor, named: str) -> None:
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
    """Check that no token and no embedding occurs twice. Raises IncompatibleCheckpoint otherwise."""
    first_of_token: dict[str, int] = {}
    first_of_row: dict[bytes, int] = {}
    for index, (token, row) in enumerate(zip(tokens, (table + 0.0).numpy(), strict=True)):  # + 0.0 turns -0 into 0
        other = first_of_token.setdefault(token, index)
        if other != index:
            raise IncompatibleCheckpoint(
                f"{named}: tokens {other} and {index} are both '{token}'; leave one of them out"
            )
        other = first_of_row.setdefault(row.tobytes(), index)
        if other != index:
            raise IncompatibleCheckpoint(
                f"{named}: tokens {other} ('{tokens[other]}') and {index} ('{token}') have one and the same embedding; "
                "leave one of them out"
            )
