"""What several io tests share."""

from __future__ import annotations

import pytest

from lowdose.io.provenance import Provenance, denoising_provenance


@pytest.fixture
def provenance() -> Provenance:
    return denoising_provenance("0.1.0", "esau-net", "ab" * 32, 0.8, ("The gantry was tilted.",))
