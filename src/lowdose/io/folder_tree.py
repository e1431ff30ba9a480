"""Walk through folders that may hold circular symbolic links."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

from lowdose.errors import CannotDecode
from lowdose.io.messages import reason


def walk_folders(root: Path) -> Iterator[tuple[Path, list[Path], list[Path]]]:
    """Yield (folder, its subfolders, its files), ``root`` included, sorted by name and each real folder once.

    A link to a folder that ``root`` lies in is not followed: it leads to what was not asked for. Raises CannotDecode
    for a folder that cannot be opened, because it may hold slices of the series.
    """
    seen = {str(parent) for parent in Path(os.path.realpath(root)).parents}
    for name, children, files in os.walk(root, onerror=_raise_unreadable, followlinks=True):
        real = os.path.realpath(name)
        if real in seen:
            children.clear()
            continue
        seen.add(real)
        children.sort()
        folder = Path(name)
        yield folder, [folder / child for child in children], [folder / file for file in sorted(files)]


def _raise_unreadable(error: OSError) -> NoReturn:
    why = reason(error)
    raise CannotDecode(f"{error.filename}: cannot be opened ({why}); make it readable or move it away") from error
