"""Words for messages: what the system says of a failure, and foreign names made fit to print."""

from __future__ import annotations

DEEPEST_CAUSE = 20


def system_reason(error: BaseException) -> str | None:
    """What the operating system said when this went wrong; None when it was not asked.

    pydicom raises OSErrors anew with a whole traceback for a text, so the words are looked for in the causes as well.
    """
    cause: BaseException | None = error
    for _ in range(DEEPEST_CAUSE):
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        cause = cause and (cause.__cause__ or cause.__context__)
    return None


def reason(error: BaseException) -> str:
    """Why something failed, in one line."""
    return system_reason(error) or next(iter(str(error).strip().splitlines()), type(error).__name__)


def printable(text: str) -> str:
    """Text without what could steer a terminal or cannot be encoded: such characters of file names become '?'."""
    return "".join(character if character.isprintable() or character == "\n" else "?" for character in text)
