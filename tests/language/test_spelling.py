"""Which tokens are whole words, in the four ways vocabularies spell them."""

import pytest

from lowdose.language.spelling import bare, readable, whole_words


@pytest.mark.parametrize(
    ("tokens", "words"),
    [
        (["liver</w>", "liv", "!</w>", "Liver</w>"], ["liver", None, None, "liver"]),
        (["liver</w>", "ðŁĴ</w>", "3d</w>", "</w>"], ["liver", None, None, None]),
        (["liver", "##ver", "[PAD]", "42", "Leber", "größe"], ["liver", None, None, None, "leber", "größe"]),
        (["Ġliver", "iver", "Ġ", "<s>", "Ġ12"], ["liver", None, None, None, None]),
        (["▁liver", "er", "▁"], ["liver", None, None]),
        (["liver", "größe", "two words", "x-ray", "", "a1"], ["liver", "größe", None, None, None, None]),
    ],
)  # fmt: skip
def test_whole_words(tokens: list[str], words: list[str | None]) -> None:
    assert list(whole_words(tokens)) == words


@pytest.mark.parametrize("token", ["liver</w>", "##liver", "Ġliver", "▁liver", "liver"])
def test_bare_spelling_of_a_token(token: str) -> None:
    assert bare(token) == "liver"


def test_a_mark_alone_marks_nothing() -> None:
    # A list of whole words may hold '##' itself without being one of word pieces.
    assert whole_words(["##", "</w>", "liver"]) == (None, None, "liver")


@pytest.mark.parametrize(("word", "read"), [("ct", True), ("of", False), ("rib", True), (None, False), ("x", False)])
def test_readable_spelling_of_a_token(word: str | None, read: bool) -> None:
    assert readable(word) is read
