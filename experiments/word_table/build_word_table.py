"""Build the shipped vocabulary, src/lowdose/zoo/words.safetensors, and enter it in the index.

    python -m experiments.word_table.build_word_table

Each row is a unit vector stored as 8-bit integers whose largest magnitude is 127; normalised again, it is within 0.9999
of the original (cosine, printed). ``sentence_encoder`` says what must be installed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save

from experiments.word_table.sentence_encoder import Array, Encoder, centred, terms, unit, words
from experiments.word_table.term_phrases import PHRASES
from lowdose.language.vocabulary import DEFAULT
from lowdose.weights import files

ZOO = Path(files.__file__).parent / "zoo"
MAX_BYTES = 8_000_000


def quantise(rows: Array) -> NDArray[np.int8]:
    """Return directions as 8-bit integers."""
    return np.rint(127 * rows / np.abs(rows).max(1, keepdims=True)).astype(np.int8)


def main() -> None:
    """Write the table and print its size and accuracy."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    encoder = Encoder()
    found, general = words()
    table, mean = centred(encoder(found), general)
    named = terms(encoder, PHRASES, mean)
    tensors = {"embeddings": quantise(table), "terms": quantise(named)}
    header = {
        "tokens": json.dumps(found),
        "terms": json.dumps(list(PHRASES)),
        "source": "all-MiniLM-L6-v2 (Apache-2.0), sentence embeddings of 'A CT of {word}' less their mean",
    }
    data = save({name: torch.from_numpy(value) for name, value in tensors.items()}, header)
    if len(data) >= MAX_BYTES:
        raise SystemExit(f"{len(data)} bytes: a shipped table may have {MAX_BYTES}")
    (ZOO / f"{DEFAULT}.safetensors").write_bytes(data)
    index = json.loads((ZOO / "index.json").read_text())
    index[DEFAULT] = {"kind": "vocabulary", "sha256": hashlib.sha256(data).hexdigest()}
    (ZOO / "index.json").write_text(json.dumps(index, indent=2, sort_keys=True) + "\n")

    again = unit(tensors["embeddings"].astype(np.float32))
    print(f"{len(found)} words ({general} general), {len(named)} terms, {len(data) / 1e6:.2f} MB")
    print(f"SHA-256 {index[DEFAULT]['sha256']}")
    print(f"lowest cosine of a row with its original: {(again * table).sum(1).min():.6f}")


if __name__ == "__main__":
    main()
