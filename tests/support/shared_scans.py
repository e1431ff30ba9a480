"""The folder ``shared`` beside the repository: real scans that some tests read and most checkouts lack."""

from pathlib import Path

SHARED = Path(__file__).resolve().parents[3] / "shared"
SHARED_CT = SHARED / "ct"
