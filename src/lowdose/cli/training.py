"""What the trainings behind ``lowdose train`` share: the command line as it was given, its numbers, its progress."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lowdose.cli.terminal import say

if TYPE_CHECKING:
    from lowdose.training.runner import RunOptions


@dataclass(frozen=True)
class Asked:
    """One command line of ``lowdose train``; the options after ``options`` are None where they were not given."""

    recipe: str
    out: Path
    data: list[Path]
    setting: list[str]
    options: RunOptions
    split: str | None
    pairing: str | None
    bank: Path | None
    start: Path | None
    network: str | None
    autoencoder: str | None
    features: str | None
    size: str | None
    vocabulary: str | None
    clip: str | None

    OPTIONAL = (
        "split", "pairing", "bank", "start", "network", "autoencoder", "features", "size", "vocabulary", "clip"
    )  # fmt: skip

    def only(self, *taken: str) -> None:
        """Raises InvalidSetting naming the first optional one that was given and means nothing for this recipe."""
        from lowdose.errors import InvalidSetting

        for option in self.OPTIONAL:
            value = getattr(self, option)
            if value is not None and option not in taken:
                raise InvalidSetting(f"--{option} {value}: means nothing for the recipe {self.recipe}; leave it out")

    def hyperparameters(self) -> dict[str, str]:
        """Numbers by name, as text. Raises InvalidSetting for what is no NAME=VALUE."""
        from lowdose.errors import InvalidSetting

        given = {}
        for text in self.setting:
            name, sign, value = text.partition("=")
            if not sign:
                raise InvalidSetting(f"--set {text}: write NAME=VALUE, for example --set steps=2000")
            given[name] = value
        return given


def report(steps: int) -> Callable[[int, float, float], None]:
    """A line of progress with the time left."""

    def line(step: int, loss: float, left: float) -> None:
        say(f"step {step}/{steps}  loss {loss:.4g}  {int(left) // 60} min {int(left) % 60:02d} s left")

    return line
