"""What made a derived image, in the words and lengths that DICOM headers hold."""

from __future__ import annotations

from dataclasses import dataclass

SOFTWARE = "lowdose"
LONG_STRING = 64
SHORT_TEXT = 1024


Code = tuple[str, str, str]
SMOOTHING: Code = ("113087", "DCM", "Smoothing")
DOSE_SIMULATION: Code = ("DOSE-SIMULATION", "99LOWDOSE", "Simulation of low dose")
"""The controlled terminology has no term for it; a scheme of one's own starts with 99."""


@dataclass(frozen=True)
class Provenance:
    """Software that made an output, and what it did.

    process: in two words, for labels. sentence: in full. made_with: names and checksums, each of at most 64 characters.
    code: value, scheme and meaning of the derivation. warnings: as the user was told.
    """

    software: str
    version: str
    process: str
    sentence: str
    made_with: tuple[str, ...] = ()
    code: Code = SMOOTHING
    warnings: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """'lowdose MODEL 80%'."""
        return to_ascii(f"{self.software} {self.process}")

    @property
    def derivation(self) -> str:
        """One paragraph, at most 1024 characters: version, what was done, warnings."""
        text = f"{self.software} {self.version}: {self.sentence} {' '.join(self.warnings)}"
        return to_ascii(text)[:SHORT_TEXT].rstrip()

    @property
    def versions(self) -> list[str]:
        """What it was made with, and the version, each of at most 64 characters.

        The version is last because padding to even length is put there, and 64 characters leave no room for it.
        """
        return [to_ascii(value)[:LONG_STRING] for value in (*self.made_with, self.version) if value]

    def series_description(self, source: str) -> str:
        """The source's description with the label behind it, of at most 64 characters; the label is never cut."""
        if not source.strip():
            return self.label[:LONG_STRING]
        mark = f" [{self.label}]"[:LONG_STRING]
        return source.strip()[: LONG_STRING - len(mark)] + mark


def denoising_provenance(
    version: str,
    model: str,
    model_sha256: str,
    strength: float,
    warnings: tuple[str, ...] = (),
    noise_kept: float | None = None,
    precision: str = "exact",
) -> Provenance:
    """strength: 0 (nothing changed) to 1. keeps: share of the noise that stays at strength 1, where it is known.

    precision: with which the network was run; 'exact' goes without saying.
    """
    percent = f"{100 * strength:.3g}%"
    checksum = f" Weights SHA-256 {model_sha256}." if model_sha256 else ""
    share = "" if noise_kept is None else f" ({100 * noise_kept:.3g}% of the noise kept at 100%)"
    run = "" if precision == "exact" else f" Run with {precision} arithmetic."
    sentence = f"low-dose CT denoising with model {model} at strength {percent}{share}.{checksum}{run}"
    return Provenance(SOFTWARE, version, f"{model} {percent}", sentence, (model, model_sha256), warnings=warnings)


def simulation_provenance(version: str, dose: float, seed: int, how: str, warnings: tuple[str, ...] = ()) -> Provenance:
    """dose: fraction of the source's, in (0, 1]. how: the scanner and kernel that were assumed, a sentence."""
    percent = f"{100 * dose:.3g}%"
    sentence = f"simulated {percent} of the dose (fraction {dose:g}) by inserting noise, seed {seed}. {how}"
    made_with = (f"dose fraction {dose:g}", f"seed {seed}")
    return Provenance(SOFTWARE, version, f"simulated {percent} dose", sentence, made_with, DOSE_SIMULATION, warnings)


def to_ascii(text: str) -> str:
    """Text for any character set: ASCII without the backslash, which separates values, on one line."""
    ascii_only = text.encode("ascii", "replace").decode("ascii")
    return " ".join(ascii_only.replace("\\", "/").split())
