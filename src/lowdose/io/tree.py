"""Walking folders that may hold symbolic links in circles."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path


def folders(root: Path) -> Iterator[tuple[Path, list[Path], list[Path]]]:
    """(folder, its folders, its files), root included, each real folder once, in order of name."""
    seen: set[str] = set()
    for name, children, files in os.walk(root, followlinks=True):
        real = os.path.realpath(name)
        if real in seen:
            children.clear()
            continue
        seen.add(real)
        children.sort()
        folder = Path(name)
        yield folder, [folder / child for child in children], [folder / file for file in sorted(files)]
