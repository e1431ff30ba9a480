"""Safe unpacking of tar files and of files compressed by gzip; nothing that they declare is trusted."""

from __future__ import annotations

import gzip
import lzma
import tarfile
import zlib
from collections.abc import Collection, Sequence
from pathlib import Path

from lowdose.errors import CannotDecode, UnsafeZip
from lowdose.io.input_kind import without_gz
from lowdose.io.messages import printable, reason
from lowdose.io.zip_files import MAX_ENTRIES, WAY_OUT, UnpackBudget, place_below

UNREADABLE = (tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, OSError, ValueError)
"""Everything that the standard library raises on damaged files."""


def extract_tar(path: Path, folder: Path) -> None:
    """Unpack a tar file, compressed or not, into an empty folder.

    Raises UnsafeZip for entries that leave the folder, links, special files or absurd sizes, and CannotDecode when the
    archive is damaged.
    """
    budget = UnpackBudget(path, path.stat().st_size)
    try:
        with tarfile.open(path, "r:*") as archive:
            for count, entry in enumerate(archive, start=1):
                if count > MAX_ENTRIES:
                    raise UnsafeZip(f"{path}: holds more than {MAX_ENTRIES} entries; {WAY_OUT}")
                _extract(path, archive, entry, folder, budget)
    except FileExistsError as error:
        raise UnsafeZip(f"{path}: holds the same name twice ({Path(error.filename).name}); {WAY_OUT}") from error
    except UNREADABLE as error:
        raise CannotDecode(f"{path}: the tar file is damaged ({reason(error)}); copy it again") from error


def _extract(path: Path, archive: tarfile.TarFile, entry: tarfile.TarInfo, folder: Path, budget: UnpackBudget) -> None:
    if entry.isdir() and entry.name in (".", "./"):  # what "tar -C FOLDER ." begins with
        return
    target = folder / place_below(path, entry.name)
    if entry.isdir():
        target.mkdir(parents=True, exist_ok=True)
        return
    if not entry.isreg():
        raise UnsafeZip(f"{path}: entry '{printable(entry.name)}' is a link or special file; {WAY_OUT}")
    source = archive.extractfile(entry)
    assert source is not None  # of every regular entry
    target.parent.mkdir(parents=True, exist_ok=True)
    with source, target.open("xb") as file:
        budget.copy(source, file)


def extract_gzip(path: Path, target: Path, budget: UnpackBudget | None = None) -> None:
    """Unpack a file compressed by gzip to ``target``; raise UnsafeZip for absurd sizes, CannotDecode for damage."""
    budget = budget or UnpackBudget(path, path.stat().st_size)
    try:
        with gzip.open(path) as source, target.open("wb") as file:
            budget.copy(source, file)  # type: ignore[arg-type]
    except (zlib.error, EOFError, OSError) as error:
        raise CannotDecode(f"{path}: cannot be unpacked ({reason(error)}); copy it again") from error


def extract_slices(packed: Collection[Path], files: Sequence[Path], root: Path, folder: Path) -> None:
    """Unpack the compressed slices ``packed`` among ``files``, all below ``root``, to the same places below ``folder``.

    The other files become links. Raises as ``extract_gzip`` does.
    """
    budget = UnpackBudget(root, sum(file.stat().st_size for file in packed))
    for file in files:
        target = folder / file.relative_to(root)
        target.parent.mkdir(parents=True, exist_ok=True)
        if file in packed:
            extract_gzip(file, without_gz(target), budget)
        else:
            target.symlink_to(file.absolute())
