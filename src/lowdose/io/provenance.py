"""What made a derived image, in the words and lengths that DICOM headers hold."""

from __future__ import annotations

from dataclasses import dataclass

LONG_STRING = 64
SHORT_TEXT = 1024


@dataclass(frozen=True)
class Provenance:
    """Software and model that made an output. strength: 0 (nothing changed) to 1. warnings: as the user was told."""

    software: str
    version: str
    model: str
    model_sha256: str
    strength: float
    warnings: tuple[str, ...] = ()
    description: str = ""

    @property
    def label(self) -> str:
        """'lowdose MODEL 80%'."""
        return plain(f"{self.software} {self.model} {self.percent}")

    @property
    def percent(self) -> str:
        """The strength, '80%' or '0.4%'."""
        return f"{100 * self.strength:.3g}%"

    @property
    def derivation(self) -> str:
        """One paragraph, at most 1024 characters: algorithm, version, model, strength, checksum, warnings."""
        checksum = f"Weights SHA-256 {self.model_sha256}." if self.model_sha256 else ""
        text = (
            f"{self.software} {self.version}: low-dose CT denoising with model {self.model} at strength "
            f"{self.percent}. {checksum} {self.description} {' '.join(self.warnings)}"
        )
        return plain(text)[:SHORT_TEXT].rstrip()

    @property
    def versions(self) -> list[str]:
        """Model, checksum and version, each of at most 64 characters.

        The version is last because padding to even length is put there, and 64 characters leave no room for it.
        """
        values = [self.model, self.model_sha256, self.version]
        return [plain(value)[:LONG_STRING] for value in values if value]

    def series_description(self, source: str) -> str:
        """The source's description with the label behind it, of at most 64 characters; the label is never cut."""
        if not source.strip():
            return self.label[:LONG_STRING]
        mark = f" [{self.label}]"[:LONG_STRING]
        return source.strip()[: LONG_STRING - len(mark)] + mark


def plain(text: str) -> str:
    """Text for any character set: ASCII without the backslash, which separates values, on one line."""
    ascii_only = text.encode("ascii", "replace").decode("ascii")
    return " ".join(ascii_only.replace("\\", "/").split())
