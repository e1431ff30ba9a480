"""Fields that patches can have, and how those of several patches become a batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from lowdose.batch import PairedBatch
from lowdose.errors import InvalidSetting

USUAL = ("low", "full", "dose")
"""Fields of a batch for a method that declares none."""

FIELDS = (*USUAL, "lesion", "full_context", "position", "unpaired", "boxes")
"""Fields that a method can declare, see ``lowdose.batch.PairedBatch``; 'boxes' brings labels and counts with it."""

OF_PAIRS = frozenset(("full", "full_context", "dose", "lesion"))
"""Fields that there are for pairs only."""


def check_fields(fields: Sequence[str], who: str, paired: bool, pairing: str) -> None:
    """Raise ValueError for a field that there is not, and InvalidSetting for one that the pairing does not have."""
    if unknown := [field for field in fields if field not in FIELDS]:
        raise ValueError(f"{who}.fields names {', '.join(unknown)}; there are {', '.join(FIELDS)}")
    if not paired and (missing := [field for field in fields if field in OF_PAIRS]):
        raise InvalidSetting(
            f"--pairing {pairing}: has no '{missing[0]}', which {who} learns from; give pairs of scans, or scans of "
            "normal dose and --pairing simulated"
        )


def join_patches(patches: Sequence[Mapping[str, Tensor]]) -> PairedBatch:
    """Join patches, each a tensor by field, to a batch; boxes lie one after the other, with their number in each."""
    fields = {name: [patch[name] for patch in patches] for name in patches[0]}
    joined = {name: torch.stack(values) for name, values in fields.items() if name not in ("boxes", "labels")}
    if "boxes" in fields:
        counts = torch.tensor([len(labels) for labels in fields["labels"]])
        joined |= {"boxes": torch.cat(fields["boxes"]), "labels": torch.cat(fields["labels"]), "box_counts": counts}
    return PairedBatch(**joined)
