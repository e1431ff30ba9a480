"""Tests of experiments/slice_words: scores of synthetic tables, and consistency of its lexicon and slices."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from experiments.slice_words import score_words

from lowdose.anatomical_labels import LABELS
from lowdose.errors import InvalidSetting, NothingToRead
from lowdose.organ_classes import ORGANS
from support.shared_scans import SHARED_CT

WORDS = Path(__file__).resolve().parents[2] / "experiments/slice_words"
REAL = SHARED_CT / "normal-dose"
needs_scans = pytest.mark.skipif(not REAL.is_dir(), reason="the real scans are not here")

FILLER = [f"filler{n}" for n in range(10)]


LEXICON = {
    "lung": score_words.Entry("structure", frozenset({"lung"})),
    "renal": score_words.Entry("structure", frozenset({"kidney"})),
    "lobe": score_words.Entry("structure", frozenset({"lung", "liver"})),
    "scan": score_words.Entry("imaging", frozenset()),
    "body": score_words.Entry("general", frozenset()),
}
FACTS = {
    "chest/1.00": frozenset({"lung"}),
    "chest/2.00": frozenset({"lung", "liver"}),
    "belly/1.00": frozenset({"kidney"}),
}


def ten(*words: str) -> list[str]:
    return [*words, *FILLER][:10]


def test_verdicts() -> None:
    words = ["lung", "renal", "lobe", "scan", "body", "banana"]
    assert score_words.verdicts(words, {"lung"}, LEXICON) == [
        "right",
        "absent",
        "right",
        "right",
        "general",
        "unlisted",
    ]
    assert score_words.verdicts(["lobe"], {"kidney"}, LEXICON) == ["absent"]


def test_score_of_a_made_up_table() -> None:
    judged = score_words.judge_all_slices(FACTS, LEXICON)
    assert judged.everywhere == {"scan"}
    table = {"chest/1.00": ten("lung", "scan", "body", "renal"), "belly/1.00": ten("renal")}
    own = score_words.score([(words, name) for name, words in table.items()], judged)
    assert own.share == pytest.approx((0.2 + 0.1) / 2)
    assert own.share_general == pytest.approx((0.3 + 0.1) / 2)
    assert own.telling == pytest.approx((0.1 + 0.1) / 2)
    swapped = score_words.shuffled_score(table, judged, "all")
    assert swapped.share == pytest.approx((0.0 + 0.2) / 2)  # renal on the chest; scan and renal below


def test_seven_of_ten() -> None:
    lexicon = {f"w{n}": score_words.Entry("imaging", frozenset()) for n in range(7)}
    judged = score_words.judge_all_slices({"a/0.00": frozenset()}, lexicon)
    assert score_words.score([(ten(*lexicon), "a/0.00")], judged).enough == 1
    assert score_words.score([(ten(*list(lexicon)[:6]), "a/0.00")], judged).enough == 0


@pytest.mark.parametrize("partners", ["all", "between", "within"])
def test_a_constant_table_gains_nothing_from_its_order(partners: str) -> None:
    facts = {**FACTS, "belly/2.00": frozenset({"kidney"})}
    judged = score_words.judge_all_slices(facts, LEXICON)
    table = dict.fromkeys(facts, ten("lung", "lobe", "scan", "body"))
    own = score_words.score([(words, name) for name, words in table.items()], judged)
    assert score_words.shuffled_score(table, judged, partners) == pytest.approx(own)


def test_partners_are_of_the_same_series_or_not() -> None:
    judged = score_words.judge_all_slices(FACTS, LEXICON)
    table = {"chest/1.00": ten("lung"), "chest/2.00": ten("lung", "lobe"), "belly/1.00": ten("scan", "renal")}
    assert score_words.shuffled_score(table, judged, "within").share == pytest.approx((0.2 + 0.1) / 2)
    assert score_words.shuffled_score(table, judged, "between").share == pytest.approx((0.1 + 0.1 + 0.0) / 3)
    assert score_words.shuffled_score({"chest/1.00": ten("lung")}, judged, "within") is None


def test_best_constant_list() -> None:
    judged = score_words.judge_all_slices(FACTS, LEXICON)
    assert score_words.best_constant(judged) == ["scan", "lobe", "lung", "renal"]
    assert score_words.best_constant(judged, judged.everywhere) == ["lobe", "lung", "renal"]


def test_words_outside_the_class_list() -> None:
    assert all(map(score_words.in_class_list, ["lung", "lungs", "vertebra", "kidneys", "arteries", "costal"]))
    assert not any(map(score_words.in_class_list, ["hepatic", "chest", "renal", "scan"]))
    facts = {"a/0.00": frozenset({"lung", "kidney"})}
    judged = score_words.judge_all_slices(facts, LEXICON)
    hit, share = score_words.outside_class_list({"a/0.00": ten("lung", "renal", "scan")}, judged)
    assert (hit, share) == pytest.approx((2 / 9, 2 / 3))


def test_tables_are_checked_and_unlisted_words_told() -> None:
    score_words.check_table({"chest/1.00": ten("lung")}, FACTS)
    for name, words in (("chest/9.00", ten()), ("chest/1.00", ["lung"] * 10), ("chest/1.00", ten("Lung"))):
        with pytest.raises(InvalidSetting, match=name):
            score_words.check_table({name: words}, FACTS)
    table = {"chest/1.00": ten("lung", "banana"), "chest/2.00": ["banana"]}
    assert score_words.unlisted_words(table, LEXICON)[0] == ("banana", 2)


def test_reviewed_words_are_new_and_reasoned(tmp_path: Path) -> None:
    reviewed = tmp_path / "reviewed.json"
    entry = {"kind": "structure", "needs": ["lung"], "reason": "a synonym"}
    reviewed.write_text(json.dumps({"lungish": entry}))
    assert score_words.load_lexicon(reviewed)["lungish"].needs == {"lung"}
    for word, bad in (("lung", entry), ("lungish", {**entry, "reason": ""})):
        reviewed.write_text(json.dumps({word: bad}))
        with pytest.raises(InvalidSetting, match=word):
            score_words.load_lexicon(reviewed)


def test_lexicon_and_facts_speak_of_the_same_things() -> None:
    slices = json.loads((WORDS / "slices.json").read_text())
    known = {*slices["structures"], *slices["regions"], *slices["acquisition"]}
    assert {organ.name for organ in ORGANS} <= known
    lexicon, facts = score_words.load_lexicon(), score_words.load_facts()
    for word, entry in lexicon.items():
        assert word == word.lower().strip()
        assert entry.kind in ("structure", "region", "imaging", "general")
        assert entry.needs <= known, word
        assert entry.needs or entry.kind in ("imaging", "general"), word
    assert len(facts) == 145
    for name, seen in facts.items():
        assert seen <= known, name
        assert len(seen & {"contrast", "no_contrast"}) == 1, name
    for found in slices["series"].values():
        ends = {end for spans in found["shown"].values() for span in spans for end in span}
        assert ends <= set(found["positions"])


def test_known_answers_on_the_real_facts() -> None:
    facts, lexicon = score_words.load_facts(), score_words.load_lexicon()
    chest, belly = facts["rider-chest-ge/-220.00"], facts["ny-sbu-chest/A058062/-230.75"]
    words = ["lung", "cardiac", "hepatic", "kidney", "renal", "scan", "patient", "tumor", "brain"]
    assert score_words.verdicts(words, chest, lexicon) == [
        "right", "right", "right", "absent", "absent", "right", "general", "unlisted", "absent",
    ]  # fmt: skip
    assert score_words.verdicts(words[:5], belly, lexicon) == ["absent", "absent", "right", "right", "right"]


def test_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = dict.fromkeys(list(score_words.load_facts())[:3], ten("lung", "banana"))
    path = tmp_path / "words.json"
    path.write_text(json.dumps(table))
    score_words.main(str(path))
    printed = capsys.readouterr().out
    assert "3 of 145 slices" in printed
    assert "| own words | 10.0 | 0.0 | 10.0 | 10.0 | 0.0 |" in printed
    assert "banana 3" in printed


@pytest.mark.data
@needs_scans
def test_the_facts_agree_with_the_labels_of_the_set_that_has_them() -> None:
    """What the label map shows largely is written down, and the large organs it lacks are not."""
    name = "totalsegmentator-abdomen-siemens"
    image = nib.Nifti1Image.from_filename(REAL / name / "labels.nii.gz")
    labels = np.asarray(image.dataobj).transpose(2, 1, 0).astype(np.uint8)
    facts = {n: seen for n, seen in score_words.load_facts().items() if score_words.series_of(n) == name}
    for (where, seen), plane in zip(facts.items(), labels, strict=True):
        for organ in ORGANS:
            found = np.isin(plane, [LABELS[member] for member in organ.members]).sum()
            if found >= 300:
                assert organ.name in seen, (where, organ.name)
            if organ.name in ("liver", "spleen", "kidney", "heart", "gallbladder", "colon", "stomach") and not found:
                assert organ.name not in seen, (where, organ.name)


@pytest.mark.data
@needs_scans
def test_slices_have_the_keys_of_the_facts() -> None:
    first = next(score_words.read_slices(REAL))
    assert first[0] == next(iter(score_words.load_facts()))
    assert first[1].hu.shape == (512, 512)


def test_missing_series_is_named(tmp_path: Path) -> None:
    with pytest.raises(NothingToRead, match="rider-chest-ge"):
        next(score_words.read_slices(tmp_path))
