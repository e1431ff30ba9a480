"""What can be imported on a machine without the packages that only reading, writing and reports need."""

import subprocess
import sys
from pathlib import Path

import pytest

import lowdose
from support.missing_packages import environment_without

READERS_AND_REPORTS = ("pydicom", "gdcm", "pylibjpeg", "openjpeg", "nibabel", "matplotlib", "jinja2")


@pytest.mark.slow
def test_training_needs_no_package_that_reads_series_or_draws_reports(tmp_path: Path) -> None:
    code = (
        "import lowdose.cli, lowdose\n"
        "from lowdose import recipes\n"
        "assert lowdose.train and all(recipes.get_recipe(name) for name in lowdose.list_recipes())\n"
        "import pydicom\n"
    )
    environment = environment_without(READERS_AND_REPORTS, tmp_path, Path(lowdose.__file__).parents[1])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment)
    assert done.stderr.rstrip().endswith("ModuleNotFoundError: No module named 'pydicom'"), done.stderr
    assert "line 4, in <module>" in done.stderr, done.stderr
