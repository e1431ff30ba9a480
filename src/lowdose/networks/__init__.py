"""Network architectures of denoisers, autoencoder, discriminator and segmentation.

Importing this package imports every module in it, which registers all denoising networks by name
(``lowdose.network_spec.register_network``); a new network only needs a new module.
"""

from __future__ import annotations

import importlib
import pkgutil

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
