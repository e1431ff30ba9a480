"""Walking folders that may hold symbolic links in circles."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

from lowdose.errors import CannotDecode
from lowdose.io.messages import reason


def walk_folders(root: Path) -> Iterator[tuple[Path, list[Path], list[Path]]]:
    """(folder, its folders, its files), root included, each real folder once, in order of name.

    Raises CannotDecode for a folder that cannot be opened: it may hold slices of the body.
    """
    seen: set[str] = set()
    for name, children, files in os.walk(root, onerror=_refuse, followlinks=True):
        real = os.path.realpath(name)
        if real in seen:
            children.clear()
            continue
        seen.add(real)
        children.sort()
        folder = Path(name)
        yield folder, [folder / child for child in children], [folder / file for file in sorted(files)]


def _refuse(error: OSError) -> NoReturn:
    why = reason(error)
    raise CannotDecode(f"{error.filename}: cannot be opened ({why}); make it readable or move it away") from error
