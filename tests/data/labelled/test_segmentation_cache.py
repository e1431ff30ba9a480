"""Real slices with their classes on disk: each segmented once, whole or not at all, by one network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lowdose.data.labelled import segmentation_cache
from lowdose.data.labelled.segmentation_cache import SegmentationCache
from lowdose.data.normal_dose import NormalDoseSlice
from lowdose.errors import OutputRefused
from lowdose.io.atomic_replace import replace_array


def normal(number: int, patient: int = 1, read: Callable[[], np.ndarray] | None = None) -> NormalDoseSlice:
    hu = np.full((5, 6), 10.0 * number + 0.6, np.float32)
    return NormalDoseSlice(
        patient, f"key{number}", f"series {patient}", (5, 6), (0.7, 0.8), None, None, None, None, None,
        read or (lambda: hu),
    )  # fmt: skip


class Segmenter:
    """Answers with the number of the slice, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, tuple[float, float] | None]] = []

    def __call__(self, hu: np.ndarray, pixel: tuple[float, float] | None) -> np.ndarray:
        number = int(np.nan_to_num(hu[0, 0]) // 10)
        self.asked.append((number, pixel))
        return np.full(hu.shape, number, np.uint8)


def quiet(*_: object) -> None: ...


def test_slices_are_whole_hu_and_classes_of_the_same_pixels(tmp_path: Path) -> None:
    def odd() -> np.ndarray:
        return np.array([[np.nan, 4e4, -1e5, np.inf], [-np.inf, 0.5, 1.5, -1024.4]], np.float32)

    told, segmenter = [], Segmenter()
    slices = SegmentationCache(tmp_path / "deep" / "er", [normal(2), normal(0, read=odd)], "abc")
    slices.build(segmenter, lambda done, total: told.append((done, total)))
    assert told == [(1, 2), (2, 2)]
    assert len(slices) == 2
    hu, classes = slices[0]
    assert (hu.dtype, classes.dtype) == (np.int16, np.uint8)
    np.testing.assert_array_equal(hu, np.full((5, 6), 21))
    np.testing.assert_array_equal(classes, np.full((5, 6), 2))
    assert segmenter.asked[0] == (2, (0.7, 0.8))
    np.testing.assert_array_equal(slices[1][0], [[-1024, 32767, -32768, 32767], [-32768, 0, 2, -1024]])


def test_an_interrupted_build_goes_on_and_segments_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    items = [normal(n) for n in range(4)]
    slices, segmenter = SegmentationCache(tmp_path, items, "abc"), Segmenter()

    def stop(path: Path, array: np.ndarray) -> None:
        if path.name == "key2-abc.npy":
            raise KeyboardInterrupt
        replace_array(path, array)

    with monkeypatch.context() as patched:
        patched.setattr(segmentation_cache, "replace_array", stop)
        with pytest.raises(KeyboardInterrupt):
            slices.build(segmenter, quiet)
    names = {file.name for file in tmp_path.iterdir()}
    assert names == {f"key{n}-hu.npy" for n in range(3)} | {"key0-abc.npy", "key1-abc.npy"}
    slices.build(segmenter, quiet)
    assert [number for number, _ in segmenter.asked] == [0, 1, 2, 2, 3]
    assert [int(slices[n][1][0, 0]) for n in range(4)] == [0, 1, 2, 3]
    slices.build(segmenter, quiet)
    assert len(segmenter.asked) == 5


def test_another_segmenters_classes_are_not_taken(tmp_path: Path) -> None:
    first, second = Segmenter(), Segmenter()
    SegmentationCache(tmp_path, [normal(3)], "aaaaaaaa1").build(first, quiet)
    other = SegmentationCache(tmp_path, [normal(3)], "bbbbbbbb1")
    with pytest.raises(FileNotFoundError):
        _ = other[0]
    other.build(second, quiet)
    assert len(first.asked) == len(second.asked) == 1
    SegmentationCache(tmp_path, [normal(3)], "aaaaaaaa1").build(first, quiet)
    assert len(first.asked) == 1


def test_processes_share_the_work(tmp_path: Path) -> None:
    items, shares = [normal(n) for n in range(7)], []
    for rank in range(3):
        segmenter = Segmenter()
        SegmentationCache(tmp_path, items, "abc").build(segmenter, quiet, (rank, 3))
        shares.append([number for number, _ in segmenter.asked])
    assert shares == [[0, 3, 6], [1, 4], [2, 5]]


def test_a_cache_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputRefused, match="file"):
        SegmentationCache(tmp_path / "file" / "below", [normal(1)], "abc").build(Segmenter(), quiet)


def test_slices_are_kept_without_noise_beside_those_as_they_are(tmp_path: Path) -> None:
    item = NormalDoseSlice(
        1, "k", "series", (4, 4), (0.7, 0.7), None, None, None, None, None, lambda: np.full((4, 4), 100.0, np.float32)
    )
    for denoiser, denoise, wanted in (("", None, 100), ("d" * 64, lambda hu: 0.5 * hu, 50)):
        cache = SegmentationCache(tmp_path, [item], "abc", denoiser)
        cache.build(lambda hu, _: hu.astype(np.uint8), lambda *_: None, denoise=denoise)
        hu, classes = cache[0]
        assert (int(hu[0, 0]), int(classes[0, 0])) == (wanted, 100)  # classes are those of the slice as it is
