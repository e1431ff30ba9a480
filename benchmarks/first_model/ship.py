"""Put a finished run's weights into the package, in half precision when that changes no pixel by more than 0.5 HU.

    python benchmarks/first_model/ship.py RUN NAME

Prints the largest change that half precision makes on a noisy phantom. Write the card NAME.md beside the weights.
"""

import json
import sys
from pathlib import Path

import torch

from lowdose import checkpoint
from lowdose.physics import phantom

ZOO = Path(checkpoint.__file__).parent / "zoo"
LARGEST_CHANGE = 0.5


def main() -> None:
    run, name = Path(sys.argv[1]), sys.argv[2]
    model = checkpoint.load(str(run / "model.safetensors"))
    target = ZOO / f"{name}.safetensors"
    body = phantom.with_noise(phantom.abdomen(1, 0), sd=20.0, dose=0.25, seed=0)
    hu = torch.from_numpy(body.hu)[:, None]
    whole = model.denoiser.denoise(hu)
    for dtype in (torch.float16, torch.float32):
        sha256 = checkpoint.save(target, model.denoiser, model.domain, model.training, dtype)
        change = float((checkpoint.load(str(target)).denoiser.denoise(hu) - whole).abs().max())
        print(f"{name}: {dtype}, {target.stat().st_size / 1e6:.1f} MB, changes at most {change:.3f} HU")
        if change <= LARGEST_CHANGE:
            break
    index = checkpoint.shipped() | {name: sha256}
    (ZOO / "index.json").write_text(json.dumps(dict(sorted(index.items())), indent=2) + "\n")


if __name__ == "__main__":
    main()
