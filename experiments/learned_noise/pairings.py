"""Train one denoiser by each way to make pairs without full dose of a scanner, and score it on that scanner.

    python -m experiments.learned_noise.pairings OUT.csv WORK CT DATA BANK [--network NETWORK] [--steps 2000]

Noise is learned from the quarter dose of L096 (D45f) alone, and of L143 (B30f); scored are the pairs of L143. CT:
folder with ``pairs/mayo-2016``. DATA: scans of normal dose of other patients, or a pack. BANK: simulated noise of them,
which is built where it is missing. WORK: folder for the runs, which goes on where it was left.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import lowdose
from experiments.common.csv_file import write_rows

PAIRINGS = ("gaussian-noise", "poisson-noise", "learned-noise", "simulated")
SCANNERS = {"D45f": ("L096-3mm-D45f", "L143-3mm-D45f"), "B30f": ("L143-3mm-B30f", "L143-3mm-B30f")}
"""By kernel: the pair whose quarter dose the noise is learned from, and the one that is scored."""
METRICS = ("psnr", "ssim", "fsim", "rmse")
QUARTER = {"dose_low": 0.25, "dose_high": 0.25, "full_dose_share": 0}
"""Settings of the simulated pairs."""


def main() -> None:
    """Learn noise, train, score, write rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("out", "work", "ct", "data", "bank"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--recipe", default="perceptual")
    parser.add_argument("--network", default="red_cnn:channels=32")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--noise-steps", type=int, default=1000)
    parser.add_argument("--kernels", nargs="*", default=list(SCANNERS))
    parser.add_argument("--pairings", nargs="*", default=list(PAIRINGS))
    parser.add_argument("--set", nargs="*", default=["perceptual_weight=0", "learning_rate=3e-4"], dest="settings")
    arguments = parser.parse_args()
    rows = []
    for kernel in arguments.kernels:
        source, scored = (arguments.ct / "pairs" / "mayo-2016" / name for name in SCANNERS[kernel])
        noise = learn_noise(source / "quarter", arguments.work / f"noise-{kernel}", arguments.noise_steps)
        models = {}
        for pairing in arguments.pairings:
            # Simulated pairs know nothing of the scanner, so one training serves all kernels.
            name = pairing if pairing == "simulated" else f"{pairing}-{kernel}"
            models[pairing] = train(arguments, pairing, noise, arguments.work / f"{arguments.recipe}-{name}")
        report = lowdose.evaluate(scored / "quarter", scored / "full", model=list(models.values()))
        for image, row in zip(("low dose", *models), report.table(), strict=True):
            rows.append({"kernel": kernel, "training": image, **{name: round(row[name], 4) for name in METRICS}})
            print(rows[-1], flush=True)
    write_rows(arguments.out, rows)


def learn_noise(low: Path, run: Path, steps: int) -> Path:
    """Learn the noise of a series, unless that is done."""
    if not (run / "model.safetensors").exists():
        lowdose.train("noise_vae", run, data=low, set={"steps": steps})
    return run


def train(arguments: argparse.Namespace, pairing: str, noise: Path, run: Path) -> str:
    """Train with a pairing, unless that is done, and return the file of the model."""
    model = run / "model.safetensors"
    if not model.exists():
        given = dict(each.split("=", 1) for each in arguments.settings)
        settings = {"steps": arguments.steps, "batch": 4, "patch": 128, "ema": 0.99, "validation_patients": 0, **given}
        simulated = pairing == "simulated"
        source = {"bank": arguments.bank} if simulated else {"noise": noise}
        lowdose.train(
            arguments.recipe, run, data=arguments.data, pairing=pairing, network=arguments.network,
            set={**settings, **(QUARTER | {"bank_slices": 40} if simulated else {})}, **source,
        )  # fmt: skip
    return str(model)


if __name__ == "__main__":
    main()
