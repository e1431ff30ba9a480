"""Published splits: complete lists, honest gaps, the leaks between them, and training on one of them."""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import replace
from importlib import resources
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from lowdose.data.apply_split import apply_split
from lowdose.data.pack_writer import write_pack
from lowdose.data.pairs import PairedSlice, split_by_patient
from lowdose.data.splits.published import Split, find_split, leaks, splits
from lowdose.data.training_set import open_training_set
from lowdose.errors import InvalidSetting
from lowdose.io.mayo import CASE


def test_lists_are_complete_and_of_one_case_each() -> None:
    counts = {
        name: (None if split.train is None else len(split.train), len(split.validation), len(split.test))
        for name, split in splits().items()
    }
    assert counts == {
        "mayo-2016-core-diff": (9, 0, 1),
        "mayo-2016-leda": (8, 0, 2),
        "mayo-2016-red-cnn": (9, 0, 1),
        "mayo-2020-core-diff": (None, 0, 10),
        "mayo-2020-ldct-bench": (105, 30, 15),
        "mayo-2020-leda": (16, 0, 4),
    }
    for split in splits().values():
        sides = [split.train or frozenset(), split.validation, split.test]
        assert all(one.isdisjoint(other) for one, other in combinations(sides, 2)), split.name
        assert all(CASE.fullmatch(case) and case.isupper() for side in sides for case in side)
        assert "/" in split.source
    ten = {f"L{n}" for n in ["067", "096", "109", "143", "192", "286", "291", "310", "333", "506"]}
    for name in ("leda", "red-cnn", "core-diff"):
        split = find_split(f"mayo-2016-{name}")
        assert (split.train or frozenset()) | split.test == ten


def test_ldct_benchmark_counts_each_part_of_the_body() -> None:
    split = find_split("mayo-2020-ldct-bench")
    for side, count in ((split.train, 35), (split.validation, 10), (split.test, 5)):
        assert {part: sum(case[0] == part for case in side or ()) for part in "CLN"} == dict.fromkeys("CLN", count)


def test_files_name_their_source_and_list_no_case_twice() -> None:
    for file in resources.files("lowdose.data.splits").iterdir():
        if file.name.endswith(".json"):
            content = json.loads(file.read_text(encoding="utf-8"))
            assert file.name == f"{content['name']}.json"
            for side in ("train", "validation", "test"):
                assert len(set(content.get(side, []))) == len(content.get(side, []))


def leaked(one: str, other: str) -> dict[tuple[str, str], set[str]]:
    return {(leak.user, leak.used): set(leak.cases) for leak in leaks(find_split(one), find_split(other))}


def test_the_known_leaks_come_out() -> None:
    assert leaked("mayo-2020-leda", "mayo-2020-ldct-bench") == {
        ("mayo-2020-leda", "train"): {"L107"},
        ("mayo-2020-ldct-bench", "train"): {"L110", "L148"},
        ("mayo-2020-ldct-bench", "validation"): {"L123", "L179"},
    }
    assert leaked("mayo-2020-core-diff", "mayo-2020-ldct-bench") == {
        ("mayo-2020-ldct-bench", "train"): {"L056", "L148", "C016", "C050", "C120"},
        ("mayo-2020-ldct-bench", "validation"): {"L077", "L186", "C052", "C232"},
    }
    assert leaked("mayo-2016-red-cnn", "mayo-2016-leda") == {("mayo-2016-red-cnn", "train"): {"L333"}}
    assert leaked("mayo-2016-red-cnn", "mayo-2016-core-diff") == {}
    assert str(leaks(find_split("mayo-2020-leda"), find_split("mayo-2020-core-diff"))[0]) == (
        "mayo-2020-leda trains on L186: test cases of mayo-2020-core-diff"
    )


def test_leaks_do_not_depend_on_the_order_and_no_split_leaks_into_itself() -> None:
    for one, other in combinations(splits(), 2):
        assert leaked(one, other) == leaked(other, one)
    for name in splits():
        assert leaked(name, name) == {}


def item(patient: int, case: str | None) -> PairedSlice:
    return PairedSlice(patient, f"{patient} {case}", 0.7, 3.0, lambda: (np.zeros((2, 2)), np.zeros((2, 2))), case)


SPLIT = Split("mine", "", "", "", "", frozenset({"L001", "L002"}), frozenset({"L003"}), frozenset({"L004"}))


def test_a_split_keeps_its_patients_and_puts_validation_last() -> None:
    items = [item(1, "L003"), item(2, "L001"), item(3, "L004"), item(4, "L002"), item(5, None), item(6, "L009")]
    kept, held_out, told = apply_split(items, SPLIT)
    learn, validate = split_by_patient(kept, held_out)
    assert ([i.case for i in learn], [i.case for i in validate]) == (["L001", "L002"], ["L003"])
    assert held_out == 1
    assert told == [
        "mine: 1 test cases are held out: L004",
        "mine: left out: 2 patients that it does not list",
    ]


def test_a_patient_known_as_a_test_case_anywhere_is_held_out_whole() -> None:
    kept, _, _ = apply_split([item(1, "L001"), item(1, None), item(1, "L004"), item(2, "L002")], SPLIT)
    assert [i.case for i in kept] == ["L002"]


def test_where_no_training_list_is_published_every_other_case_is_trained_on() -> None:
    split = replace(SPLIT, train=None, validation=frozenset())
    kept, held_out, _ = apply_split([item(1, "L004"), item(2, "L777"), item(3, None)], split)
    assert ([i.case for i in kept], held_out) == (["L777"], 0)


def test_a_split_without_patients_and_unknown_splits_are_refused() -> None:
    for items in ([item(1, "L004")], [item(1, None)], [item(1, "L003")]):
        with pytest.raises(InvalidSetting, match="none of the 1 patient"):
            apply_split(items, SPLIT)
    with pytest.raises(InvalidSetting, match=r"no split 'mayo'; there are mayo-2016-core-diff"):
        find_split("mayo")


def test_folders_and_packs_are_split_alike(pairs: Path, tmp_path: Path) -> None:
    write_pack([pairs], tmp_path / "all.pack", "folders", "full")
    for roots in ([pairs], [tmp_path / "all.pack"], [pairs, tmp_path / "all.pack"]):
        with ExitStack() as stack:
            opened = open_training_set(stack, roots, "mayo-2016-leda")
        assert {(i.patient, i.case) for i in opened.items} == {(1, "L067"), (2, "L096")}
        assert opened.validation_patients == 0
        assert opened.warnings == [
            "mayo-2016-leda: 6 of 8 train cases are not in the data: L109, L143, L192, L286, L291, L310",
            "mayo-2016-leda: 1 test cases are held out: L333",
        ]
