"""Training recipes, one module per paper: its name is that on the command line, and it must define ``RECIPE``.

Further ones come from installed packages, by entry points of the group ``lowdose.recipes``, and from files.
"""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

from lowdose import plugins
from lowdose.errors import InvalidSetting
from lowdose.training.anatomy_recipe import AnatomyRecipe
from lowdose.training.learned_noise.recipe import NoiseRecipe
from lowdose.training.leda_autoencoder.recipe import AutoencoderRecipe
from lowdose.training.recipe import DenoiserRecipe

AnyRecipe = DenoiserRecipe | AnatomyRecipe | AutoencoderRecipe | NoiseRecipe


def recipe_names() -> list[str]:
    """List the names of all recipes of ``lowdose train``, sorted."""
    return sorted({*_own_names(), *plugins.plugin_names(plugins.RECIPES)})


def get_recipe(name: str) -> AnyRecipe:
    """Return the recipe called ``name``; one of an installed package is imported.

    Raises InvalidSetting, listing the known ones, if there is none, and if a package does not import or its entry
    point is no recipe.
    """
    if name in _own_names():
        found: object = importlib.import_module(f"{__name__}.{name}").RECIPE
    else:
        found = plugins.load_plugin(plugins.RECIPES, name)
    if found is None:
        raise InvalidSetting(
            f"no recipe '{name}'; there are {', '.join(recipe_names())}, and --recipe-file for one of your own"
        )
    if not isinstance(found, AnyRecipe):
        raise InvalidSetting(
            f"'{name}' in {plugins.RECIPES} is no recipe but a {type(found).__name__}; let the entry point name a "
            "DenoiserRecipe, as in 'my_package.my_paper:RECIPE'"
        )
    return found


def read_recipe_file(path: Path) -> tuple[str, AnyRecipe]:
    """Execute a Python file that defines ``RECIPE``, and return the recipe with its name, that of the file.

    Raises InvalidSetting when the file does not import, defines no recipe, or has the name of another one.
    """
    name = path.stem
    if name in recipe_names():
        raise InvalidSetting(f"{path}: there is a recipe '{name}' already; rename the file")
    found = getattr(plugins.run_file(path), "RECIPE", None)
    if not isinstance(found, AnyRecipe):
        raise InvalidSetting(f"{path}: defines no recipe; let the file set RECIPE = DenoiserRecipe(...)")
    return name, found


def _own_names() -> list[str]:
    return [module.name for module in pkgutil.iter_modules(__path__)]
