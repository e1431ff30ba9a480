"""Unpack the wheels of packages that this Python lacks; without any package of its own.

    python3 experiments/gpu/missing_packages.py WHEELS FOLDER

WHEELS: folder with wheels of pure Python packages. FOLDER: where to unpack; it is then added to PYTHONPATH. Packages
that are installed already are left as they are.
"""

import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path


def main() -> None:
    """Unpack what is missing and print the names."""
    wheels, folder = (Path(argument) for argument in sys.argv[1:])
    folder.mkdir(parents=True, exist_ok=True)
    for wheel in sorted(wheels.glob("*.whl")):
        with zipfile.ZipFile(wheel) as archive:
            names = {name.partition("/")[0].removesuffix(".py") for name in archive.namelist()}
            modules = [name for name in names if name.isidentifier()]
            if any(find_spec(module) is None for module in modules):
                archive.extractall(folder)
                print(f"brought along: {', '.join(modules)}")


if __name__ == "__main__":
    main()
