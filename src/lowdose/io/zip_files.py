"""Safe unpacking of zip files from unknown sources; nothing that they declare is trusted."""

from __future__ import annotations

import stat
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO

from lowdose.errors import CannotDecode, UnsafeZip
from lowdose.io.messages import printable, reason

MAX_BYTES = 32 << 30
"""Limit of the unpacked size of any archive, in bytes."""
MAX_ENTRIES = 200_000
"""Limit of the number of entries of an archive."""
MAX_RATIO = 200
"""Limit of the ratio of unpacked to packed size."""
RATIO_FROM = 100 << 20
"""Unpacked size, in bytes, from which the ratio is checked."""
CHUNK = 1 << 20
"""Bytes that are read at once."""
WAY_OUT = "unpack it yourself and give the folder"


@dataclass
class UnpackBudget:
    """Limit of what an archive may unpack to, counted in bytes as they come, not as the archive declares them.

    Attributes
    ----------
    path : Path
        The archive, for messages.
    packed : int, bytes
        Size of the archive.
    limit : int, bytes
        Limit of the unpacked size, at most MAX_BYTES.
    way_out : str
        Advice in the error message.
    unpacked : int, bytes
        Size unpacked so far.
    """

    path: Path
    packed: int
    limit: int = MAX_BYTES
    way_out: str = WAY_OUT
    unpacked: int = 0

    def spend(self, count: int) -> None:
        """Count ``count`` more bytes; raise UnsafeZip when the archive has grown beyond reason."""
        self.unpacked += count
        limit = min(self.limit, MAX_BYTES)
        if self.unpacked > limit:
            raise UnsafeZip(f"{self.path}: unpacks to more than {limit >> 30} GiB; {self.way_out}")
        if self.unpacked > RATIO_FROM and self.unpacked > MAX_RATIO * self.packed:
            raise UnsafeZip(f"{self.path}: unpacks to more than {MAX_RATIO} times its size; {self.way_out}")

    def copy(self, source: IO[bytes], target: IO[bytes]) -> None:
        """Copy ``source`` to its end, counting the bytes."""
        while chunk := source.read(CHUNK):
            self.spend(len(chunk))
            target.write(chunk)


def extract_zip(path: Path, folder: Path) -> None:
    """Unpack a zip into an empty folder.

    Raises UnsafeZip for entries that leave the folder, links, encryption or absurd sizes, and CannotDecode when the
    archive is damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            if len(entries) > MAX_ENTRIES:
                raise UnsafeZip(f"{path}: holds {len(entries)} entries, more than {MAX_ENTRIES}; {WAY_OUT}")
            budget = UnpackBudget(path, path.stat().st_size)
            for entry in entries:
                target = folder / _safe_place(path, entry)
                if entry.is_dir():
                    target.mkdir(parents=True, exist_ok=True)
                    continue
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(entry) as source, target.open("xb") as file:
                    budget.copy(source, file)
    except FileExistsError as error:
        raise UnsafeZip(f"{path}: holds the same name twice ({Path(error.filename).name}); {WAY_OUT}") from error
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise CannotDecode(f"{path}: the zip is damaged or of an unknown kind ({error}); {WAY_OUT}") from error
    except OSError as error:
        raise CannotDecode(f"{path}: cannot be unpacked ({reason(error)}); {WAY_OUT}") from error


def place_below(path: Path, name: str) -> PurePosixPath:
    """Return the path of an archive's entry below the target folder; raise UnsafeZip for one that leaves it."""
    plain = name.replace("\\", "/")
    place = PurePosixPath(plain)
    if place.is_absolute() or PureWindowsPath(plain).drive or ".." in place.parts or not place.parts:
        raise UnsafeZip(f"{path}: entry '{printable(name)}' would be written outside its folder; {WAY_OUT}")
    return place


def _safe_place(path: Path, entry: zipfile.ZipInfo) -> PurePosixPath:
    """Return the path of an entry of a zip below the target folder.

    Raises UnsafeZip when it lies elsewhere, is encrypted, or is not a plain file or folder.
    """
    place, shown = place_below(path, entry.filename), printable(entry.filename)
    if entry.flag_bits & 0x1:
        raise UnsafeZip(f"{path}: entry '{shown}' is encrypted; {WAY_OUT}")
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise UnsafeZip(f"{path}: entry '{shown}' is a link or special file; {WAY_OUT}")
    return place
