"""Adding models: what is sound is found by name from then on; what is not is refused and leaves nothing behind."""

from __future__ import annotations

import json
import math
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

import lowdose
from lowdose.errors import IncompatibleCheckpoint, InvalidSetting, LowDoseError, OutputRefused
from lowdose.hounsfield import Scale
from lowdose.models import checkpoint, install, load
from lowdose.models.checkpoint import TrainingDomain
from lowdose.network_spec import NetworkSpec
from lowdose.networks.denoiser import Denoiser
from lowdose.weights import files, user_models
from lowdose.weights.identity import shipped_weights

UNET = NetworkSpec("unet", {"width": 4, "levels": 2})


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Not there until something is added."""
    monkeypatch.setenv("LOWDOSE_MODELS", str(tmp_path / "of" / "models"))
    return tmp_path / "of" / "models"


def denoiser(seed: int = 0, spec: NetworkSpec = UNET, context: int = 0) -> Denoiser:
    torch.manual_seed(seed)
    made = Denoiser(spec, Scale(), context)
    torch.nn.init.normal_(made.network.out.weight, std=0.05)
    return made


def write(path: Path, made: Denoiser) -> Path:
    path.parent.mkdir(exist_ok=True)
    checkpoint.save_denoiser(path, made, TrainingDomain(noise_sd=(1, 5)), {"recipe": "unet"})
    return path


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write(tmp_path / "my_run" / "model.safetensors", denoiser())


def everything_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_an_added_model_is_the_same_under_its_name(run: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert install.install_model(run) == "my_run"
    assert everything_in(folder) == ["index.json", "my_run.safetensors"]
    before = checkpoint.load_denoiser(str(run))
    run.unlink()
    monkeypatch.chdir(folder.parent)
    found = checkpoint.load_denoiser("my_run")
    assert (found.name, found.sha256, found.domain) == ("my_run", before.sha256, before.domain)
    hu = torch.randn(1, 1, 30, 30) * 100
    assert torch.equal(found.denoiser.denoise(hu), before.denoiser.denoise(hu))
    assert load.load_by_name("my_run", torch.device("cpu")).sha256 == before.sha256
    with pytest.raises(IncompatibleCheckpoint, match=r"no model 'mine'.*fast.*\(my_run\).*Classical filters"):
        load.load_by_name("mine", torch.device("cpu"))


def test_the_checksum_is_checked_at_every_load(run: Path, folder: Path) -> None:
    install.install_model(run, "a")
    (folder / "a.safetensors").write_bytes(files.serialise_weights(denoiser(1).network, files.read_weights(run).header))
    with pytest.raises(IncompatibleCheckpoint, match=r"a\.safetensors: SHA-256 .* 'lowdose models remove a', then add"):
        checkpoint.load_denoiser("a")
    (folder / "a.safetensors").unlink()
    with pytest.raises(IncompatibleCheckpoint, match="of the added model 'a' is gone"):
        checkpoint.load_denoiser("a")
    assert install.install_model(run, "a") == "a"  # the same content again mends it
    assert checkpoint.load_denoiser("a").sha256 == files.read_weights(run).sha256


def test_a_name_with_other_content_is_kept(run: Path, tmp_path: Path, folder: Path) -> None:
    install.install_model(run, "a")
    index = (folder / "index.json").read_bytes()
    other = write(tmp_path / "b.safetensors", denoiser(1))
    with pytest.raises(
        InvalidSetting, match=r"'a': a different model .*; give another --name, .*'lowdose models remove a'"
    ):
        install.install_model(other, "a")
    assert (folder / "index.json").read_bytes() == index
    assert everything_in(folder) == ["a.safetensors", "index.json"]
    install.install_model(other)
    install.uninstall_model("a")
    install.install_model(other, "a")
    assert set(user_models.user_model_hashes("denoiser")) == {"a", "b"}


def test_a_name_can_be_checked_before_its_model_is_made(run: Path, tmp_path: Path, folder: Path) -> None:
    install.check_name("mine", tmp_path / "not-made-yet.safetensors")
    assert not folder.exists()
    install.install_model(run, "mine")
    install.check_name("mine", run)  # the same model once more
    for other in (tmp_path / "not-made-yet.safetensors", write(tmp_path / "b" / "model.safetensors", denoiser(1))):
        with pytest.raises(InvalidSetting, match="'mine': a different model is installed under this name"):
            install.check_name("mine", other)
    with pytest.raises(InvalidSetting, match="cannot name a model"):
        install.check_name("My Model", run)


def test_a_model_of_several_slices(tmp_path: Path) -> None:
    spec = NetworkSpec("unet", {"width": 4, "levels": 2, "slices": 3})
    install.install_model(write(tmp_path / "three.safetensors", denoiser(0, spec, context=1)))
    assert checkpoint.load_denoiser("three").denoiser.context == 1


@pytest.mark.parametrize("beside", ["model.md", "card.md"])
def test_a_card_goes_along_and_away_again(run: Path, folder: Path, beside: str) -> None:
    run.with_name(beside).write_bytes(b"# mine\xff")
    install.install_model(run, "a")
    assert (folder / "a.md").read_bytes() == b"# mine\xff"
    run.with_name(beside).unlink()
    install.install_model(run, "a")
    assert (folder / "a.md").exists()
    install.uninstall_model("a")
    assert everything_in(folder) == ["index.json"]
    assert user_models.user_model_hashes() == {}
    (folder / "a.md").write_text("of a model whose index was lost")
    install.install_model(run, "a")
    assert not (folder / "a.md").exists()


@pytest.mark.parametrize("name", ["", "A", "-a", "a b", "../a", "a.b", "ä", "a" * 65])
def test_impossible_names_are_refused(run: Path, folder: Path, name: str) -> None:
    with pytest.raises(InvalidSetting, match=r"cannot name a model: .*give another --name"):
        install.install_model(run, name)
    assert not folder.parent.exists()


@pytest.mark.parametrize("name", ["fast", "anatomy", "words", "nlm", "gaussian"])
def test_what_comes_with_lowdose_keeps_its_name(run: Path, folder: Path, name: str) -> None:
    with pytest.raises(InvalidSetting, match=f"'{name}': a model that comes with lowdose"):
        install.install_model(run, name)
    with pytest.raises(InvalidSetting, match=f"'{name}' comes with lowdose: only added models"):
        install.uninstall_model(name)
    assert not folder.parent.exists()


def test_a_folder_that_is_no_name_proposes_one(tmp_path: Path) -> None:
    path = write(tmp_path / "My Run (2)" / "model.safetensors", denoiser())
    with pytest.raises(InvalidSetting, match=r"'My Run \(2\)' cannot name a model.*--name my_run_2$"):
        install.install_model(path)


def bad(case: str, run: Path) -> Path:
    """A file that must not be added."""
    path, made = run.with_name("bad.safetensors"), denoiser()
    if case == "text":
        path.write_text("hello, this is a text" * 9)
    elif case == "cut":
        path.write_bytes(run.read_bytes()[:-1])
    elif case in ("nan", "huge"):
        made.network.out.weight.data.fill_(math.nan if case == "nan" else 1e38)
        write(path, made)
    elif case == "pattern":
        torch.manual_seed(0)
        made = Denoiser(NetworkSpec("esau_net", {"width": 4}), Scale())
        for value in made.parameters():
            torch.nn.init.normal_(value, std=1.5 * value[0].numel() ** -0.5 if value.ndim == 4 else 1.0)
        write(path, made)
    elif case == "shapes":
        header = files.read_weights(run).header
        other = Denoiser(NetworkSpec("unet", {"width": 5, "levels": 2}), Scale())
        path.write_bytes(files.serialise_weights(other.network, header))
    elif case == "anatomy":
        return Path(lowdose.__file__).parent / "zoo" / "anatomy.safetensors"
    return path


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        ("gone", "no such file"),
        ("text", "not a readable safetensors file"),
        ("cut", "copy it again"),
        ("nan", "hold NaN or infinity"),
        ("huge", "gives NaN or infinity for a slice of noise"),
        ("pattern", r"changes a constant slice of 40 HU by .* allowed is 1"),
        ("shapes", "do not fit the network 'unet'"),
        ("anatomy", r"only denoisers are added by name; give its path .*--segmenter"),
    ],
)
def test_a_bad_file_leaves_nothing_behind(run: Path, folder: Path, case: str, reason: str) -> None:
    with pytest.raises(IncompatibleCheckpoint, match=reason):
        install.install_model(bad(case, run), "a")
    assert not folder.parent.exists()


def test_every_shipped_denoiser_could_be_added() -> None:
    for name in shipped_weights("denoiser"):
        install.check_denoises(checkpoint.load_denoiser(name), name)


def test_an_index_that_cannot_be_written_leaves_nothing_behind(
    run: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run.with_name("card.md").write_text("# mine")

    def full(_: object) -> None:
        raise OutputRefused("no space left")

    with monkeypatch.context() as failing:
        failing.setattr(install, "_write", full)
        with pytest.raises(OutputRefused, match="set LOWDOSE_MODELS to a folder that you can write"):
            install.install_model(run, "a")
    assert not folder.parent.exists()


def test_a_folder_that_cannot_be_made(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("LOWDOSE_MODELS", str(tmp_path / "file" / "models"))
    with pytest.raises(OutputRefused, match=r"file/models: cannot be written .*; set LOWDOSE_MODELS"):
        install.install_model(run, "a")


def test_a_damaged_index_is_never_written_over(run: Path, folder: Path) -> None:
    install.install_model(run, "a")
    (folder / "index.json").write_text("{")
    for change in (lambda: install.install_model(run, "b"), lambda: install.uninstall_model("a")):
        with pytest.raises(LowDoseError, match="is damaged"):
            change()
    assert (folder / "index.json").read_text() == "{"
    assert checkpoint.load_denoiser(str(run)).sha256 == files.read_weights(run).sha256  # a path needs no index
    assert everything_in(folder) == ["a.safetensors", "index.json"]
    (folder / "index.json").unlink()  # the way out that the message tells
    assert install.install_model(folder / "a.safetensors") == "a"
    assert checkpoint.load_denoiser("a").name == "a"


def test_what_was_not_added_cannot_be_removed(run: Path, folder: Path) -> None:
    install.install_model(run, "a")
    with pytest.raises(InvalidSetting, match=r"no added model 'b': .* these are there: a"):
        install.uninstall_model("b")
    assert set(user_models.user_model_hashes()) == {"a"}


def test_models_added_at_the_same_time_are_all_kept(run: Path, folder: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(lambda n: install.install_model(run, f"m{n}"), range(8))) == [f"m{n}" for n in range(8)]
    assert len(json.loads((folder / "index.json").read_text())) == 8
