"""Packs: what goes in comes out, whole or not at all, and parts that do not belong together are refused."""

from __future__ import annotations

import json
import pickle
import shutil
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pydicom
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lowdose.data.augmentation import Augmentation
from lowdose.data.pack.reader import Pack
from lowdose.data.pack_writer import write_pack
from lowdose.data.pairs import fingerprint
from lowdose.data.patch_source import SliceCache
from lowdose.data.patches import Patches
from lowdose.data.training_set import open_training_set
from lowdose.errors import IncompatiblePack, InvalidSetting, NothingToRead, OutputRefused


@given(
    arrays(
        np.int16,
        st.tuples(st.integers(1, 4), st.integers(1, 9), st.integers(1, 9)),
        elements=st.integers(-32768, 32767),
    )
)
@settings(max_examples=25, deadline=None)
def test_whole_hu_come_back_exactly(hu: np.ndarray) -> None:
    hu = np.maximum(hu, -1000)  # what is below air a reader may take for padding
    hu[0, 0, 0] = -1000
    with tempfile.TemporaryDirectory() as folder:
        root, out = Path(folder, "in"), Path(folder, "out.pack")
        root.mkdir()
        np.savez(root / "a.npz", hu=hu.astype(np.float32), spacing=np.array([3.0, 0.7, 0.8]))
        write_pack([root], out, "none", "full")
        packed = Pack(out)
        found = {row.position: packed.image("full", index) for index, row in enumerate(packed.slices)}
        unique = {image.tobytes() for image in hu}
        assert {image.tobytes() for image in found.values()} == unique
        for z, image in enumerate(hu):
            np.testing.assert_array_equal(found[z * 3.0], image)
            assert found[z * 3.0].dtype == np.int16


def test_what_lies_outside_int16_is_clipped_and_fractions_are_rounded(tmp_path: Path) -> None:
    hu = np.array([[[-1000.0, 40.4, 40.6, 99999.0]]], np.float32)
    np.savez(tmp_path / "a.npz", hu=hu)
    write_pack([tmp_path / "a.npz"], tmp_path / "out.pack", "none", "full")
    assert Pack(tmp_path / "out.pack").hu("full", 0).tolist() == [[-1000, 40, 41, 32767]]


def test_facts_of_every_slice_and_nothing_of_the_patient(tmp_path: Path, scan: Callable[..., np.ndarray]) -> None:
    small, large = scan(tmp_path / "in" / "a", seed=1), scan(tmp_path / "in" / "b", "OTHER", seed=2, size=56, slices=2)
    made = write_pack([tmp_path / "in"], tmp_path / "out.pack", "none", "full")
    assert (made.slices, made.series, made.patients, made.warnings) == (5, 2, 2, [])
    packed = Pack(tmp_path / "out.pack")
    assert sorted(file.name for file in packed.path.iterdir()) == ["full-40x40.npy", "full-56x56.npy", "slices.json"]
    for index, row in enumerate(packed.slices):
        of = packed.series[row.series]
        assert (of.kernel, of.kvp, of.thickness_mm, of.manufacturer) == ("B30f", 120, 3, "MAKER")
        assert (row.pixel_mm, row.role, row.position) == ((0.7, 0.8), "full", pytest.approx(3.0 * row.row))
        np.testing.assert_array_equal(packed.image("full", index), (small, large)[of.patient - 1][row.row])
    assert len({row.key for row in packed.slices}) == 5
    assert list(packed.damaged()) == []
    uids = [pydicom.dcmread(file) for file in (tmp_path / "in").rglob("*.dcm")]
    table = (packed.path / "slices.json").read_text()
    for header in uids:
        for value in (header.PatientID, header.SeriesInstanceUID, header.StudyInstanceUID, header.FrameOfReferenceUID):
            assert value not in table


def test_keys_do_not_depend_on_where_and_when(tmp_path: Path, scan: Callable[..., np.ndarray]) -> None:
    scan(tmp_path / "one" / "a", seed=1)
    shutil.copytree(tmp_path / "one" / "a", tmp_path / "two" / "z" / "y")
    keys = []
    for name in ("one", "two"):
        write_pack([tmp_path / name], tmp_path / f"{name}.pack", "none", "full")
        keys.append([row.key for row in Pack(tmp_path / f"{name}.pack").slices])
    assert keys[0] == keys[1]


def test_padding_becomes_air(tmp_path: Path, scan: Callable[..., np.ndarray]) -> None:
    hu = scan(tmp_path / "in", slices=1)
    (file,) = (tmp_path / "in").iterdir()
    header = pydicom.dcmread(file)
    stored = header.pixel_array.copy()
    stored[:5, :7] = -2000
    header.PixelPaddingValue, header.PixelData = -2000, stored.tobytes()
    header["PixelPaddingValue"].VR = "SS"
    header.save_as(file)
    write_pack([tmp_path / "in"], tmp_path / "out.pack", "none", "full")
    image = Pack(tmp_path / "out.pack").image("full", 0)
    assert (image[:5, :7] == -1000).all()
    np.testing.assert_array_equal(image[5:], hu[0, 5:])


def test_bad_slices_are_told_and_left_out(tmp_path: Path, scan: Callable[..., np.ndarray]) -> None:
    scan(tmp_path / "in" / "a", seed=1)
    scan(tmp_path / "in" / "b", "OTHER", seed=2)
    short = tmp_path / "in" / "a" / "1-00002.dcm"
    short.write_bytes(short.read_bytes()[:-100])
    (tmp_path / "in" / "b" / "notes.txt").write_text("nothing of interest")
    (tmp_path / "in" / "b" / "empty.dcm").write_bytes(b"")
    made = write_pack([tmp_path / "in"], tmp_path / "out.pack", "none", "full")
    assert made.slices == 5
    assert len(made.warnings) == 2
    assert "1-00002.dcm" in made.warnings[0]
    assert all(text.endswith("(left out)") for text in made.warnings)


def test_a_series_is_packed_once(tmp_path: Path, scan: Callable[..., np.ndarray]) -> None:
    scan(tmp_path / "in" / "a", seed=1)
    shutil.copytree(tmp_path / "in" / "a", tmp_path / "in" / "copy")
    made = write_pack([tmp_path / "in"], tmp_path / "out.pack", "none", "full")
    assert (made.slices, made.series) == (3, 1)
    assert made.warnings == [f"{tmp_path / 'in' / 'copy'}: 3 slices in the pack already (left out)"]


def test_nothing_to_pack_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "bad.nii").write_bytes(b"no")
    for pairing, message in (("none", r"no slice to pack \(.*bad.nii"), ("folders", "no pair of series")):
        with pytest.raises(NothingToRead, match=message):
            write_pack([tmp_path / "in"], tmp_path / "new" / "out.pack", pairing, "full")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in"]


def test_an_interrupted_pack_leaves_nothing(tmp_path: Path, scan: Callable[..., np.ndarray]) -> None:
    scan(tmp_path / "in")

    def stop(done: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_pack([tmp_path / "in"], tmp_path / "out.pack", "none", "full", stop)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in"]


def test_refused_outputs_and_settings(tmp_path: Path, scan: Callable[..., np.ndarray]) -> None:
    scan(tmp_path / "in")
    with pytest.raises(OutputRefused, match="lies inside"):
        write_pack([tmp_path / "in"], tmp_path / "in" / "out.pack", "none", "full")
    write_pack([tmp_path / "in"], tmp_path / "out.pack", "none", "full")
    with pytest.raises(OutputRefused, match="not empty"):
        write_pack([tmp_path / "in"], tmp_path / "out.pack", "none", "full")
    with pytest.raises(InvalidSetting, match="a pack already"):
        write_pack([tmp_path / "out.pack"], tmp_path / "two.pack", "none", "full")
    for wrong in (("pairs", "full"), ("none", "half")):
        with pytest.raises(InvalidSetting, match="must be"):
            write_pack([tmp_path / "in"], tmp_path / "two.pack", *wrong)


def test_training_sees_the_same_from_a_pack_as_from_folders(pairs: Path, tmp_path: Path) -> None:
    made = write_pack([pairs], tmp_path / "out.pack", "folders", "full")
    assert (made.slices, made.series, made.patients) == (9, 3, 3)
    with ExitStack() as stack:
        folders = open_training_set(stack, [pairs]).items
        packed = open_training_set(stack, [tmp_path / "out.pack"]).items
        patches = [Patches(SliceCache(items), 16, Augmentation(), 3) for items in (folders, packed)]
        for index in range(12):
            for name in ("low", "full"):
                assert torch.equal(patches[0][index][name], patches[1][index][name])
        for one, other in zip(folders, packed, strict=True):
            facts = [(i.patient, i.case, i.pixel_mm, i.thickness_mm) for i in (one, other)]
            assert facts[0] == facts[1]
            np.testing.assert_array_equal(one.read(), other.read())
        assert len(fingerprint(packed, [])) == 64
        # Nothing is copied: the cache hands out views of the mapped file, read-only.
        low, _ = patches[1].slices[4].middle
        assert np.shares_memory(low, patches[1].slices[4].middle.low)
        assert not low.flags.owndata
        assert not low.flags.writeable
        assert packed[4].stored is not None
        again = pickle.loads(pickle.dumps(patches[1]))
        assert torch.equal(again[5]["low"], patches[1][5]["low"])
        assert len(pickle.dumps(patches[1])) < 20_000  # no pixels are sent to a loading process


@pytest.fixture
def two_packs(tmp_path: Path, scan: Callable[..., np.ndarray]) -> tuple[Path, Path]:
    for name, seed in (("a", 1), ("b", 2)):
        scan(tmp_path / name, seed=seed)
        write_pack([tmp_path / name], tmp_path / f"{name}.pack", "none", "full")
    return tmp_path / "a.pack", tmp_path / "b.pack"


def edited(change: Callable[[dict], None]) -> Callable[[Path, Path], None]:
    def edit(one: Path, other: Path) -> None:
        content = json.loads((one / "slices.json").read_text())
        change(content)
        (one / "slices.json").write_text(json.dumps(content))

    return edit


def column(name: str, row: int, value: object) -> Callable[[Path, Path], None]:
    def change(content: dict) -> None:
        content["slices"][row][content["columns"].index(name)] = value

    return edited(change)


def truncated(one: Path, other: Path) -> None:
    data = (one / "full-40x40.npy").read_bytes()
    (one / "full-40x40.npy").write_bytes(data[: len(data) // 2])


HARM: dict[str, tuple[Callable[[Path, Path], object], str]] = {
    "truncated": (truncated, "full-40x40.npy: is damaged or cut short"),
    "empty array": (lambda one, _: (one / "full-40x40.npy").write_bytes(b""), "is damaged or cut short"),
    "array is missing": (lambda one, _: (one / "full-40x40.npy").unlink(), "is missing"),
    "pickled array": (
        lambda one, _: np.save(one / "full-40x40.npy", np.array([{}], dtype=object)), "is damaged or cut short"
    ),
    "other type": (
        lambda one, _: np.save(one / "full-40x40.npy", np.zeros((3, 40, 40), np.float32)), "holds float32"
    ),
    "other order": (
        lambda one, _: np.save(one / "full-40x40.npy", np.zeros((3, 40, 40), np.int16, order="F")), "holds int16"
    ),
    "table of another pack": (
        lambda one, other: shutil.copy(other / "slices.json", one / "slices.json"), "not those the table lists"
    ),
    "version": (edited(lambda c: c.update(version=2)), "version 2, this lowdose reads version 1"),
    "format": (edited(lambda c: c.update(format="zarr")), "not the table of a pack"),
    "list": (lambda one, _: (one / "slices.json").write_text("[]"), "not the table of a pack"),
    "no JSON": (lambda one, _: (one / "slices.json").write_text("{"), "cannot be read"),
    "deep JSON": (lambda one, _: (one / "slices.json").write_text("[" * 200_000), "cannot be read"),
    "not text": (lambda one, _: (one / "slices.json").write_bytes(b"\xff\xfe{}"), "cannot be read"),
    "missing row": (edited(lambda c: c["slices"].pop()), r"the table lists 2 images"),
    "no rows": (edited(lambda c: c.update(slices=[])), "no slices"),
    "no series": (edited(lambda c: c.update(series=[])), "not listed"),
    "row twice": (column("row", 1, 0), "twice or not at all"),
    "negative row": (column("row", 1, -1), "no whole number"),
    "series out of range": (column("series", 0, 7), "not listed"),
    "no dose": (column("full", 1, None), "neither dose"),
    "nonsense": (column("pixel_mm", 1, [0, -1]), "a pixel of 0 mm"),
    "not a number": (column("mas", 1, float("nan")), "no number"),
    "missing column": (edited(lambda c: c["columns"].pop()), "damaged"),
    "huge shape": (column("shape", 0, [10**12, 10**12]), "is missing"),
}  # fmt: skip


@pytest.mark.parametrize("harm", HARM)
def test_damaged_packs_are_refused(harm: str, two_packs: tuple[Path, Path]) -> None:
    change, message = HARM[harm]
    assert len(Pack(two_packs[0]).slices) == 3
    change(*two_packs)
    with pytest.raises(IncompatiblePack, match=message) as caught:
        Pack(two_packs[0])
    assert str(two_packs[0]) in str(caught.value)


def test_a_changed_pixel_is_found(two_packs: tuple[Path, Path]) -> None:
    file = two_packs[0] / "full-40x40.npy"
    data = bytearray(file.read_bytes())
    data[128 + 40 * 40 * 2 + 100] ^= 1  # in the second of three images
    file.write_bytes(data)
    assert list(Pack(two_packs[0]).damaged()) == [f"{file}: image 1 is not what was packed"]


def test_arrays_are_plain_numpy(two_packs: tuple[Path, Path]) -> None:
    assert np.load(two_packs[0] / "full-40x40.npy").shape == (3, 40, 40)
