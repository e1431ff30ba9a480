"""Conversion of the tokens of a vocabulary to words: which tokens are whole words, and which word each one spells.

Byte-pair vocabularies mark the end of a word ('liver</w>', CLIP) or its start ('Ġliver', '▁liver'); word-piece
vocabularies mark a token that continues a word ('##ver'). A list without any mark counts as one of whole words.
"""

from __future__ import annotations

from collections.abc import Sequence

END, CONTINUES, STARTS = "</w>", "##", ("Ġ", "▁")
SHORT = frozenset({"ct", "mr"})
"""Words of two letters with a meaning for a scan; other tokens of two letters are mostly pieces of words."""


def bare(token: str) -> str:
    """Return the token without its mark: 'liver</w>', '##liver', 'Ġliver' -> 'liver'."""
    return token.removesuffix(END).removeprefix(CONTINUES).removeprefix(STARTS[0]).removeprefix(STARTS[1])


def whole_words(tokens: Sequence[str]) -> tuple[str | None, ...]:
    """Return the word that each token spells, in lower case; None for pieces of words, numbers and signs."""
    ends = any(token.endswith(END) and token != END for token in tokens)
    continues = any(token.startswith(CONTINUES) and token != CONTINUES for token in tokens)
    starts = any(token.startswith(STARTS) and token not in STARTS for token in tokens)

    def word(token: str) -> str | None:
        whole = (
            (not ends or token.endswith(END))
            and (not continues or not token.startswith(CONTINUES))
            and (ends or continues or not starts or token.startswith(STARTS))
        )
        spelled = bare(token)
        # Byte-level vocabularies encode other scripts as bytes, whose letters spell no word.
        letters = spelled.isalpha() and (spelled.isascii() or not (ends or starts))
        return spelled.lower() if whole and letters else None

    return tuple(word(token) for token in tokens)


def readable(word: str | None) -> bool:
    """Return whether a person reads it as a word: not None, and of three or more letters or in ``SHORT``."""
    return word is not None and (len(word) >= 3 or word in SHORT)
