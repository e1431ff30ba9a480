"""File of a detector of lesions, which 'lowdose train lidnet' writes beside the model."""

from __future__ import annotations

from pathlib import Path

from lowdose.errors import IncompatibleCheckpoint, InvalidSetting
from lowdose.networks.detection.detector import LesionDetector
from lowdose.weights.artefact import artefact_name, fill_artefact
from lowdose.weights.files import WeightsFile, read_weights

ARTEFACT = "detector"
"""Name of the detector among the artefacts of a training."""
TRAINED_BY = "'lowdose train lidnet' writes one into its run folder"


def load_detector(run: Path) -> LesionDetector:
    """Load the detector of a run; see ``read_detector``."""
    return read_detector(run)[0]


def read_detector(run: Path) -> tuple[LesionDetector, str]:
    """Load the detector of a run together with the SHA-256 hash of its file.

    run: the run folder, or the file in it. The detector is returned in eval mode, without gradients, with the size
    that its weights have. Raises InvalidSetting where there is no such file, and IncompatibleCheckpoint for one that is
    damaged or holds something else.
    """
    path = run / f"{ARTEFACT}.safetensors" if run.is_dir() else run
    if run.is_dir() and not path.is_file():
        raise InvalidSetting(f"{run}: has no {path.name}; {TRAINED_BY}")
    if not path.exists():
        raise InvalidSetting(f"{run}: no such file or folder of a detector of lesions; {TRAINED_BY}")
    file = read_weights(path)
    name = artefact_name(file)
    if name != ARTEFACT:
        what = f"holds a {name}" if name else f"its format is '{file.header.get('format', 'not stated')}'"
        raise IncompatibleCheckpoint(f"{path}: {what}, which is no detector of lesions; {TRAINED_BY}")
    detector = LesionDetector(*_size(file, path))
    fill_artefact(detector, ARTEFACT, file, path)
    return detector.eval().requires_grad_(False), file.sha256


def _size(file: WeightsFile, path: Path) -> tuple[int, int, int, int]:
    """Return width, blocks, pyramid and hidden units, from the shapes of the weights."""
    tensors = file.tensors
    try:
        blocks = 1 + max(int(name.split(".")[3]) for name in tensors if name.startswith("s1.stages."))
        width, pyramid = len(tensors["s1.stem.0.weight"]), len(tensors["rpn.shared.weight"])
        return width, blocks, pyramid, tensors["score.weight"].shape[1]
    except (KeyError, ValueError, IndexError, TypeError) as error:
        raise IncompatibleCheckpoint(
            f"{path}: its weights are not those of this version's detector of lesions; train it anew with "
            "'lowdose train lidnet'"
        ) from error
