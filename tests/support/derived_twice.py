"""A derived series written twice: with whole headers, and with headers made from that of another image."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lowdose.errors import LowDoseError
from lowdose.io.dicom import derivation, derived
from lowdose.io.dicom.fast_header import NeedsFullParser
from lowdose.io.dicom.header_template import EncodedHeader, HeaderTemplate
from lowdose.io.dicom.series import DicomSource
from lowdose.io.provenance import Provenance


class Noon:
    """Stands in for ``datetime``: it is always noon."""

    @staticmethod
    def now() -> datetime:
        return datetime(2020, 1, 2, 12, 0, 0)


def derived_twice(source: DicomSource, folder: Path, provenance: Provenance) -> tuple[list[bytes], list[bytes], int]:
    """Return the files written with whole headers, those written with templates, and how often one was filled.

    Time and new UIDs are the same in both. Raises what the first run raises; the second must raise the same.
    """
    filled = list[bool]()
    fill = HeaderTemplate.fill

    def counting(self: HeaderTemplate, *given: Any) -> bytes | None:
        encoded = fill(self, *given)
        filled.append(encoded is not None)
        return encoded

    def refuse(path: Path) -> EncodedHeader:
        raise NeedsFullParser

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(derived, "datetime", Noon)
        patch.setattr(HeaderTemplate, "fill", counting)
        with patch.context() as whole:
            whole.setattr(EncodedHeader, "read", refuse)
            before = _write(source, folder / "whole", provenance)
        after = _write(source, folder / "template", provenance)
    if isinstance(before, LowDoseError):
        assert isinstance(after, LowDoseError)
        assert str(after) == str(before)
        raise before
    assert not isinstance(after, LowDoseError), after
    return before, after, sum(filled)


def _write(source: DicomSource, out: Path, provenance: Provenance) -> list[bytes] | LowDoseError:
    rng, sink = np.random.default_rng(0), derived.DicomSink(source, out, provenance)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(derivation, "new_uid", lambda: f"2.25.{(sink._derivation.objects + 8) ** 3}")  # of any length
        sink._derivation.series, sink._derivation.study = "1.2.3", "1.2.5"
        sink._derivation.frame_of_reference = "1.2.6"
        try:
            with sink:
                for index in range(len(source)):
                    item = source.read(index)
                    sink.write(item, item.hu + rng.normal(0, 5, item.hu.shape).astype(np.float32))
        except LowDoseError as error:
            return error
    return [path.read_bytes() for path in sorted(out.iterdir())]
