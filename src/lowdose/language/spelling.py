"""How vocabularies spell their tokens: which are whole words, and which word that is.

Byte-pair vocabularies mark the end of a word ('liver</w>', CLIP) or its start ('Ġliver', '▁liver'), word-piece ones
mark what continues a word ('##ver'). A list without any mark is taken as one of whole words.
"""

from __future__ import annotations

from collections.abc import Sequence

END, CONTINUES, STARTS = "</w>", "##", ("Ġ", "▁")
SHORT = frozenset({"ct", "mr"})
"""Words of two letters that say something of a scan; others are mostly pieces."""


def bare(token: str) -> str:
    """The token without its mark: 'liver</w>', '##liver', 'Ġliver' -> 'liver'."""
    return token.removesuffix(END).removeprefix(CONTINUES).removeprefix(STARTS[0]).removeprefix(STARTS[1])


def whole_words(tokens: Sequence[str]) -> tuple[str | None, ...]:
    """Of every token the word it spells, in lower case; None where it is a piece of a word, a number or a sign."""
    ends = any(token.endswith(END) and token != END for token in tokens)
    continues = any(token.startswith(CONTINUES) and token != CONTINUES for token in tokens)
    starts = any(token.startswith(STARTS) and token not in STARTS for token in tokens)

    def word(token: str) -> str | None:
        whole = (
            (not ends or token.endswith(END))
            and (not continues or not token.startswith(CONTINUES))
            and (ends or continues or not starts or token.startswith(STARTS))
        )
        found = bare(token)
        # Byte-level vocabularies write other scripts in letters that spell nothing.
        letters = found.isalpha() and (found.isascii() or not (ends or starts))
        return found.lower() if whole and letters else None

    return tuple(word(token) for token in tokens)


def readable(word: str | None) -> bool:
    """Whether a person reads it as a word: whole, of letters, three or more of them."""
    return word is not None and (len(word) >= 3 or word in SHORT)
