"""Provenance of a derived image in the words and lengths that DICOM headers allow."""

from __future__ import annotations

from dataclasses import dataclass

SOFTWARE = "lowdose"
LONG_STRING = 64
"""Longest value, in characters, of DICOM's value representation LO."""
SHORT_TEXT = 1024
"""Longest value, in characters, of DICOM's value representation ST."""

Code = tuple[str, str, str]
"""Coded concept: code value, coding scheme designator, code meaning."""
SMOOTHING: Code = ("113087", "DCM", "Smoothing")
DOSE_SIMULATION: Code = ("DOSE-SIMULATION", "99LOWDOSE", "Simulation of low dose")
"""Dose simulation, for which DICOM's controlled terminology has no term.

Private coding schemes start with 99.
"""


@dataclass(frozen=True)
class Provenance:
    """Software that produced an output, and what it did.

    Attributes
    ----------
    software, version : str
        Name and version of the software.
    process : str
        What was done, in two words, for labels.
    sentence : str
        What was done, in full.
    made_with : tuple of str
        Names and checksums of what was used, each of at most 64 characters.
    code : Code
        Code of the derivation.
    warnings : tuple of str
        Warnings that the user received.
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
        """Short label, for example "lowdose MODEL 80%"."""
        return to_ascii(f"{self.software} {self.process}")

    @property
    def derivation(self) -> str:
        """Version, what was done, and warnings: one paragraph of at most 1024 characters."""
        text = f"{self.software} {self.version}: {self.sentence} {' '.join(self.warnings)}"
        return to_ascii(text)[:SHORT_TEXT].rstrip()

    @property
    def versions(self) -> list[str]:
        """What was used, then the version, each of at most 64 characters.

        The version is last because padding to an even length is appended to the last value, and 64 characters leave no
        room.
        """
        return [to_ascii(value)[:LONG_STRING] for value in (*self.made_with, self.version) if value]

    def series_description(self, source: str) -> str:
        """Return the source's series description followed by the label, in at most 64 characters.

        Where there is too little room, the description is cut, never the label.
        """
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
    noise: str = "",
    accuracy: str = "exact",
) -> Provenance:
    """Return the provenance of a denoised series.

    ``strength`` runs from 0 (nothing changed) to 1. ``noise`` is a clause on the noise before and after, where
    it is known. ``accuracy`` is the arithmetic with which the network ran; "exact" is not mentioned.
    """
    percent = f"{100 * strength:.3g}%"
    checksum = f" Weights SHA-256 {model_sha256}." if model_sha256 else ""
    change = f" ({noise})" if noise else ""
    run = "" if accuracy == "exact" else f" Run with {accuracy} arithmetic."
    sentence = f"low-dose CT denoising with model {model} at strength {percent}{change}.{checksum}{run}"
    return Provenance(SOFTWARE, version, f"{model} {percent}", sentence, (model, model_sha256), warnings=warnings)


def simulation_provenance(version: str, dose: float, seed: int, how: str, warnings: tuple[str, ...] = ()) -> Provenance:
    """Return the provenance of a simulated low-dose series.

    ``dose`` is the fraction of the source's dose, in (0, 1]. ``how`` is a sentence on the scanner and kernel assumed.
    """
    percent = f"{100 * dose:.3g}%"
    sentence = f"simulated {percent} of the dose (fraction {dose:g}) by inserting noise, seed {seed}. {how}"
    made_with = (f"dose fraction {dose:g}", f"seed {seed}")
    return Provenance(SOFTWARE, version, f"simulated {percent} dose", sentence, made_with, DOSE_SIMULATION, warnings)


def to_ascii(text: str) -> str:
    """Return text on one line that is valid in any DICOM character set.

    That is ASCII without the backslash, which separates values.
    """
    ascii_only = text.encode("ascii", "replace").decode("ascii")
    return " ".join(ascii_only.replace("\\", "/").split())
