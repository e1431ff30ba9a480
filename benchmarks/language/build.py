"""Builds the shipped vocabulary, src/lowdose/zoo/words.safetensors, and enters it in the index.

    python benchmarks/language/build.py

Each row is a unit vector kept as 8-bit integers, its largest number being 127: made unit again, it is within 0.9999
of what it was (cosine, printed). See ``encoder`` for what must be installed.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import torch
from encoder import Array, Encoder, centred, terms, unit, words
from numpy.typing import NDArray
from phrases import PHRASES
from safetensors.torch import save

from lowdose.language.vocabulary import DEFAULT
from lowdose.weights import files

ZOO = Path(files.__file__).parent / "zoo"
MOST_BYTES = 8_000_000


def short(rows: Array) -> NDArray[np.int8]:
    """Directions as 8-bit integers."""
    return np.rint(127 * rows / np.abs(rows).max(1, keepdims=True)).astype(np.int8)


def main() -> None:
    encoder = Encoder()
    found, general = words()
    table, mean = centred(encoder(found), general)
    named = terms(encoder, PHRASES, mean)
    tensors = {"embeddings": short(table), "terms": short(named)}
    header = {
        "tokens": json.dumps(found),
        "terms": json.dumps(list(PHRASES)),
        "source": "all-MiniLM-L6-v2 (Apache-2.0), sentence embeddings of 'A CT of {word}' less their mean",
    }
    data = save({name: torch.from_numpy(value) for name, value in tensors.items()}, header)
    if len(data) >= MOST_BYTES:
        raise SystemExit(f"{len(data)} bytes: a shipped table may have {MOST_BYTES}")
    (ZOO / f"{DEFAULT}.safetensors").write_bytes(data)
    index = json.loads((ZOO / "index.json").read_text())
    index[DEFAULT] = {"kind": "vocabulary", "sha256": hashlib.sha256(data).hexdigest()}
    (ZOO / "index.json").write_text(json.dumps(index, indent=2, sort_keys=True) + "\n")

    again = unit(tensors["embeddings"].astype(np.float32))
    print(f"{len(found)} words ({general} general), {len(named)} terms, {len(data) / 1e6:.2f} MB")
    print(f"SHA-256 {index[DEFAULT]['sha256']}")
    print(f"lowest cosine of a row with what it was: {(again * table).sum(1).min():.6f}")


if __name__ == "__main__":
    main()
