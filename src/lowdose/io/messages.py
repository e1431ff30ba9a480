"""Text for messages: reasons given by the operating system, foreign names made safe to print, numbers of things."""

from __future__ import annotations

DEEPEST_CAUSE = 20
"""Number of chained exceptions that are searched."""
MAX_SHOWN = 64
"""Characters of a foreign value that a message shows."""


def system_reason(error: BaseException) -> str | None:
    """Return the operating system's description of an error, or None when it did not come from the operating system.

    pydicom raises OSErrors anew with a whole traceback as their text, so the causes of the error are searched as well.
    """
    cause: BaseException | None = error
    for _ in range(DEEPEST_CAUSE):
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        cause = cause and (cause.__cause__ or cause.__context__)
    return None


def reason(error: BaseException) -> str:
    """Return in one line why something failed."""
    return system_reason(error) or next(iter(str(error).strip().splitlines()), type(error).__name__)


def printable(text: str) -> str:
    """Return text with every character replaced by "?" that could control a terminal or cannot be encoded.

    Such characters occur in file names.
    """
    return "".join(character if character.isprintable() or character == "\n" else "?" for character in text)


def counted(number: int, noun: str) -> str:
    """Return a number of things with its noun, as in '1 slice' and '3 slices'."""
    return f"{number} {noun}{'s' * (number != 1)}"


def shown(value: object) -> str:
    """Return a value that a file holds in one line of at most 64 characters, safe to print.

    Damaged headers hold values of any content and length.
    """
    text = " ".join(printable(str(value)).split())
    return text if len(text) <= MAX_SHOWN else f"{text[: MAX_SHOWN - 3]}..."
