"""benchmarks/words: the judge on made-up tables with known answers, and the lexicon and facts against each other."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import nibabel as nib
import numpy as np
import pytest

from lowdose.anatomical_labels import LABELS
from lowdose.errors import InvalidSetting, NothingToRead
from lowdose.organ_classes import ORGANS

ROOT = Path(__file__).resolve().parents[1]
WORDS = ROOT / "benchmarks/words"
REAL = next((d / "shared/ct/normal-dose" for d in (ROOT, ROOT.parent) if (d / "shared/ct/normal-dose").is_dir()), None)
needs_scans = pytest.mark.skipif(REAL is None, reason="the real scans are not here")

FILLER = [f"filler{n}" for n in range(10)]


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("words_judge", WORDS / "judge.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


judge = _load()
LEXICON = {
    "lung": judge.Entry("structure", frozenset({"lung"})),
    "renal": judge.Entry("structure", frozenset({"kidney"})),
    "lobe": judge.Entry("structure", frozenset({"lung", "liver"})),
    "scan": judge.Entry("imaging", frozenset()),
    "body": judge.Entry("general", frozenset()),
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
    assert judge.judge(words, {"lung"}, LEXICON) == ["right", "absent", "right", "right", "general", "unlisted"]
    assert judge.judge(["lobe"], {"kidney"}, LEXICON) == ["absent"]


def test_score_of_a_made_up_table() -> None:
    judged = judge.judge_all(FACTS, LEXICON)
    assert judged.everywhere == {"scan"}
    table = {"chest/1.00": ten("lung", "scan", "body", "renal"), "belly/1.00": ten("renal")}
    own = judge.score([(words, name) for name, words in table.items()], judged)
    assert own.share == pytest.approx((0.2 + 0.1) / 2)
    assert own.share_general == pytest.approx((0.3 + 0.1) / 2)
    assert own.telling == pytest.approx((0.1 + 0.1) / 2)
    swapped = judge.shuffled(table, judged, "all")
    assert swapped.share == pytest.approx((0.0 + 0.2) / 2)  # renal on the chest; scan and renal below


def test_seven_of_ten() -> None:
    lexicon = {f"w{n}": judge.Entry("imaging", frozenset()) for n in range(7)}
    judged = judge.judge_all({"a/0.00": frozenset()}, lexicon)
    assert judge.score([(ten(*lexicon), "a/0.00")], judged).enough == 1
    assert judge.score([(ten(*list(lexicon)[:6]), "a/0.00")], judged).enough == 0


@pytest.mark.parametrize("partners", ["all", "between", "within"])
def test_a_constant_table_gains_nothing_from_its_order(partners: str) -> None:
    facts = {**FACTS, "belly/2.00": frozenset({"kidney"})}
    judged = judge.judge_all(facts, LEXICON)
    table = dict.fromkeys(facts, ten("lung", "lobe", "scan", "body"))
    own = judge.score([(words, name) for name, words in table.items()], judged)
    assert judge.shuffled(table, judged, partners) == pytest.approx(own)


def test_partners_are_of_the_same_series_or_not() -> None:
    judged = judge.judge_all(FACTS, LEXICON)
    table = {"chest/1.00": ten("lung"), "chest/2.00": ten("lung", "lobe"), "belly/1.00": ten("scan", "renal")}
    assert judge.shuffled(table, judged, "within").share == pytest.approx((0.2 + 0.1) / 2)
    assert judge.shuffled(table, judged, "between").share == pytest.approx((0.1 + 0.1 + 0.0) / 3)
    assert judge.shuffled({"chest/1.00": ten("lung")}, judged, "within") is None


def test_best_constant_list() -> None:
    judged = judge.judge_all(FACTS, LEXICON)
    assert judge.best_constant(judged) == ["scan", "lobe", "lung", "renal"]
    assert judge.best_constant(judged, judged.everywhere) == ["lobe", "lung", "renal"]


def test_words_outside_the_class_list() -> None:
    assert all(map(judge.in_class_list, ["lung", "lungs", "vertebra", "kidneys", "arteries", "costal"]))
    assert not any(map(judge.in_class_list, ["hepatic", "chest", "renal", "scan"]))
    facts = {"a/0.00": frozenset({"lung", "kidney"})}
    judged = judge.judge_all(facts, LEXICON)
    hit, share = judge.outside({"a/0.00": ten("lung", "renal", "scan")}, judged)
    assert (hit, share) == pytest.approx((2 / 9, 2 / 3))


def test_tables_are_checked_and_unlisted_words_told() -> None:
    judge.check({"chest/1.00": ten("lung")}, FACTS)
    for name, words in (("chest/9.00", ten()), ("chest/1.00", ["lung"] * 10), ("chest/1.00", ten("Lung"))):
        with pytest.raises(InvalidSetting, match=name):
            judge.check({name: words}, FACTS)
    table = {"chest/1.00": ten("lung", "banana"), "chest/2.00": ["banana"]}
    assert judge.unjudged(table, LEXICON)[0] == ("banana", 2)


def test_reviewed_words_are_new_and_reasoned(tmp_path: Path) -> None:
    reviewed = tmp_path / "reviewed.json"
    entry = {"kind": "structure", "needs": ["lung"], "reason": "a synonym"}
    reviewed.write_text(json.dumps({"lungish": entry}))
    assert judge.load_lexicon(reviewed)["lungish"].needs == {"lung"}
    for word, bad in (("lung", entry), ("lungish", {**entry, "reason": ""})):
        reviewed.write_text(json.dumps({word: bad}))
        with pytest.raises(InvalidSetting, match=word):
            judge.load_lexicon(reviewed)


def test_lexicon_and_facts_speak_of_the_same_things() -> None:
    slices = json.loads((WORDS / "slices.json").read_text())
    known = {*slices["structures"], *slices["regions"], *slices["acquisition"]}
    assert {organ.name for organ in ORGANS} <= known
    lexicon, facts = judge.load_lexicon(), judge.load_facts()
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
    facts, lexicon = judge.load_facts(), judge.load_lexicon()
    chest, belly = facts["rider-chest-ge/-220.00"], facts["ny-sbu-chest/A058062/-230.75"]
    words = ["lung", "cardiac", "hepatic", "kidney", "renal", "scan", "patient", "tumor", "brain"]
    assert judge.judge(words, chest, lexicon) == [
        "right", "right", "right", "absent", "absent", "right", "general", "unlisted", "absent",
    ]  # fmt: skip
    assert judge.judge(words[:5], belly, lexicon) == ["absent", "absent", "right", "right", "right"]


def test_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = dict.fromkeys(list(judge.load_facts())[:3], ten("lung", "banana"))
    path = tmp_path / "words.json"
    path.write_text(json.dumps(table))
    judge.main(str(path))
    printed = capsys.readouterr().out
    assert "3 of 145 slices" in printed
    assert "| own words | 10.0 | 0.0 | 10.0 | 10.0 | 0.0 |" in printed
    assert "banana 3" in printed


@needs_scans
def test_the_facts_agree_with_the_labels_of_the_set_that_has_them() -> None:
    """What the label map shows largely is written down, and the large organs it lacks are not."""
    assert REAL is not None
    name = "totalsegmentator-abdomen-siemens"
    image = nib.Nifti1Image.from_filename(REAL / name / "labels.nii.gz")
    labels = np.asarray(image.dataobj).transpose(2, 1, 0).astype(np.uint8)
    facts = {n: seen for n, seen in judge.load_facts().items() if judge.series_of(n) == name}
    for (where, seen), plane in zip(facts.items(), labels, strict=True):
        for organ in ORGANS:
            found = np.isin(plane, [LABELS[member] for member in organ.members]).sum()
            if found >= 300:
                assert organ.name in seen, (where, organ.name)
            if organ.name in ("liver", "spleen", "kidney", "heart", "gallbladder", "colon", "stomach") and not found:
                assert organ.name not in seen, (where, organ.name)


@needs_scans
def test_slices_have_the_keys_of_the_facts() -> None:
    assert REAL is not None
    first = next(judge.slices(REAL))
    assert first[0] == next(iter(judge.load_facts()))
    assert first[1].hu.shape == (512, 512)


def test_missing_series_is_named(tmp_path: Path) -> None:
    with pytest.raises(NothingToRead, match="rider-chest-ge"):
        next(judge.slices(tmp_path))
