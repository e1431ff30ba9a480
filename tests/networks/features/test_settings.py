"""preprocessor_config.json: what it may say, and what has no meaning."""

import json
from pathlib import Path

import pytest

from lowdose.errors import IncompatibleCheckpoint
from lowdose.networks.features import settings
from lowdose.networks.features.input_transform import IMAGENET


def seen(folder: Path, **stated: object) -> tuple[list[float], list[float], int]:
    path = folder / "preprocessor_config.json"
    path.write_text(json.dumps(stated))
    normal, side = settings.input_statistics(path, IMAGENET, 224)
    return list(normal.mean), list(normal.std), side


def test_the_familys_own_numbers_where_there_is_no_file_or_it_says_nothing(tmp_path: Path) -> None:
    assert settings.input_statistics(tmp_path / "gone.json", IMAGENET, 518) == (IMAGENET, 518)
    mean, std, side = seen(tmp_path)
    assert (mean, std, side) == (pytest.approx(IMAGENET.mean), pytest.approx(IMAGENET.std), 224)


def test_a_grey_network_states_its_own(tmp_path: Path) -> None:
    mean, std, side = seen(
        tmp_path,
        do_center_crop=True,
        crop_size={"height": 518, "width": 518},
        size={"shortest_edge": 518},
        do_rescale=True,
        rescale_factor=1 / 255,
        image_mean=[0.53, 0.53, 0.53],
        image_std=[0.26, 0.26, 0.26],
    )
    assert mean == pytest.approx([0.53] * 3)
    assert std == pytest.approx([0.26] * 3)
    assert side == 518


def test_without_normalisation_or_rescaling(tmp_path: Path) -> None:
    mean, std, _ = seen(tmp_path, do_normalize=False, image_mean=[9, 9, 9])
    assert (mean, std) == (pytest.approx([0] * 3), pytest.approx([1] * 3))
    mean, std, _ = seen(tmp_path, do_rescale=False, image_mean=[127.5, 0, 255], image_std=[51, 51, 51])
    assert (mean, std) == (pytest.approx([0.5, 0, 1]), pytest.approx([0.2] * 3))


@pytest.mark.parametrize("factor", [1 / 255, 2 / 255, 1.0])
def test_what_a_network_sees_is_what_its_own_processor_would_give(tmp_path: Path, factor: float) -> None:
    mean, std, _ = seen(tmp_path, rescale_factor=factor, image_mean=[0.5, 0.4, 0.3], image_std=[0.2, 0.3, 0.4])
    for level in (0, 100, 255):
        theirs = [(level * factor - m) / s for m, s in zip((0.5, 0.4, 0.3), (0.2, 0.3, 0.4), strict=True)]
        ours = [(level / 255 - m) / s for m, s in zip(mean, std, strict=True)]
        assert ours == pytest.approx(theirs)


@pytest.mark.parametrize(
    ("stated", "side"),
    [
        ({"size": 336}, 336),
        ({"size": {"shortest_edge": 256}}, 256),
        ({"size": 256, "crop_size": 224}, 224),
        ({"size": 256, "crop_size": 224, "do_center_crop": False}, 256),
        ({"size": {"longest_edge": 99}}, 224),
    ],
)
def test_the_size_after_cropping_counts(tmp_path: Path, stated: dict[str, object], side: int) -> None:
    assert seen(tmp_path, **stated)[2] == side


@pytest.mark.parametrize(
    "stated",
    [
        {"image_mean": [0.5]},
        {"image_mean": "grey"},
        {"image_std": [0.2, 0.0, 0.2]},
        {"image_std": [0.2, -1, 0.2]},
        {"image_std": [0.2, float("nan"), 0.2]},
        {"image_mean": None},
        {"rescale_factor": 0},
        {"size": 0},
        {"size": "large"},
    ],
)
def test_numbers_without_meaning_are_refused(tmp_path: Path, stated: dict[str, object]) -> None:
    with pytest.raises(IncompatibleCheckpoint, match=r"preprocessor_config\.json.*no meaning"):
        seen(tmp_path, **stated)


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe\x00", b"[1, 2]", b""])
def test_what_is_no_json_object_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(content)
    with pytest.raises(IncompatibleCheckpoint, match=r"config\.json.*copy it again"):
        settings.read_settings(path)
