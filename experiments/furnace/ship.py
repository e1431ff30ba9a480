"""Shipping of a job's best weights, if they are better than the shipped ones on the validation set."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from experiments.furnace.jobs import Job
from experiments.furnace.state import Furnace
from experiments.furnace.status import steps_done
from experiments.furnace.validate import SCORERS, figure
from experiments.zoo.ship_model import ZOO, ship_weights
from lowdose.weights.files import shipped_weights


class NotBetter(Exception):
    """Weights are not shipped."""


WORSE_ALLOWED_TEACHER = 0.02
"""By how much the sight of an autoencoder, and the share of its words that are right, may fall."""
WORSE_ALLOWED = {"ssim_gain": -0.001, "tissue_bias": 0.1}
"""Change of other figures that is accepted beside a better PSNR, or lesions that are kept better."""
LESION_GAIN, PSNR_FOR_LESIONS = 0.03, 0.05
"""Gain in the contrast kept of lesions of 5 mm for which so much PSNR (dB) may be lost."""
BEGIN, END = "<!-- validation -->", "<!-- end of validation -->"


def ship(furnace: Furnace, job: Job, weights: Path | None = None, cost: str = "") -> str:
    """Score the best weights and the shipped ones anew; ship the former if they are better. Raises NotBetter.

    weights: those of the same job trained elsewhere, in place of the best of the furnace. cost: what they cost, for the
    card.
    """
    folder, name = furnace.job(job.name), job.ships_as
    best = weights or folder.best
    if not name:
        raise NotBetter(f"{job.name}: jobs.toml names no model that it ships as")
    if not best.exists():
        raise NotBetter(f"{job.name}: there are no weights {best}; let it train until its first validation")
    new = _score(furnace, job, str(best))
    kind = "autoencoder" if job.recipe in SCORERS else "denoiser"
    against = name if name in shipped_weights(kind) else job.start
    old = _score(furnace, job, against) if against else {}
    if old and not is_better(new, old):
        raise NotBetter(f"{job.name}: not better than '{against}' on the validation set\n{comparison(new, old)}")
    ship_weights(best, name)
    text = comparison(new, old)
    facts = cost if weights else f"{folder.progress().hours:.1f} hours of one core, {steps_done(folder):,} steps"
    facts += f", job `{job.name}`"
    write_card(ZOO / f"{name}.md", f"{facts}; validation patients, at share 0.25 of the noise:\n\n{text}")
    return f"{name}: shipped\n{text}"


def is_better(new: dict[str, float], old: dict[str, float]) -> bool:
    """Return whether new weights are better: by PSNR or lesions kept, and in no other figure worse than allowed."""
    if "systematic_share" in new:
        return figure(new) > figure(old) and all(
            new[name] > old[name] - WORSE_ALLOWED_TEACHER for name in ("systematic_share", "right_1", "right_2")
        )
    kept = "lesion_5mm"
    lesions = kept in new and kept in old and new[kept] - old[kept] >= LESION_GAIN
    return (
        figure(new) > figure(old) - PSNR_FOR_LESIONS * lesions
        and new["ssim_gain"] - old["ssim_gain"] > WORSE_ALLOWED["ssim_gain"]
        and new["tissue_bias"] - old["tissue_bias"] < WORSE_ALLOWED["tissue_bias"]
    )


def comparison(new: dict[str, float], old: dict[str, float]) -> str:
    """Return both sets of figures as a Markdown table."""
    lines = ["| | new | before |", "|---|---|---|"]
    lines += [f"| {name} | {value:.4g} | {old.get(name, float('nan')):.4g} |" for name, value in new.items()]
    return "\n".join(lines)


def write_card(card: Path, text: str) -> None:
    """Put the figures into the card, between its two marks or at its end."""
    content = card.read_text(encoding="utf-8") if card.exists() else f"# Model card: `{card.stem}`\n"
    section = f"{BEGIN}\n{text}\n{END}\n"
    if BEGIN in content:
        before, rest = content.split(BEGIN, 1)
        content = before + section + rest.split(END, 1)[1].lstrip("\n")
    else:
        content = f"{content.rstrip()}\n\n## Validation\n\n{section}"
    card.write_text(content, encoding="utf-8")


def _score(furnace: Furnace, job: Job, model: str) -> dict[str, float]:
    scorer = [SCORERS[job.recipe]] if job.recipe in SCORERS else ["experiments.furnace.score", "--lesions"]
    command = [sys.executable, "-m", *scorer, str(furnace.validation_set), model]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    figures: dict[str, float] = json.loads(output.splitlines()[-1])
    return figures
