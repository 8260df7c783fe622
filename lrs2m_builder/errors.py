"""The two expected kinds of trouble: a setting the user must change, and a sample that cannot be used."""

from __future__ import annotations

import difflib
from collections.abc import Collection


class UserError(Exception):
    """A setting or input that cannot be used: one line that says what, where and what next (exit code 2)."""


class MissingExtraError(UserError):
    """A package of an optional extra is not installed."""

    def __init__(self, what: str, extra: str, error: ImportError) -> None:
        super().__init__(
            f"{what} needs a package that is not installed ({error}); run: pip install 'lrs2m-builder[{extra}]'"
        )


class ModelNotHereError(UserError):
    """The model's files are not on this machine, and the Hub cannot be reached."""


class Stopped(BaseException):
    """The user stopped the program where nothing drains, as while an engine starts; may say what became of the work."""


def storable(text: str) -> str:
    """The text as UTF-8 can hold it; a path on a disk may hold other bytes."""
    return text.encode("utf-8", "backslashreplace").decode()


class SampleError(Exception):
    """One sample cannot be used: it becomes a rejection and the build goes on.

    Attributes:
        reason: short snake_case name, counted in the report.
        detail: what exactly was wrong, for a person.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = storable(detail)


def one_line(error: BaseException) -> str:
    """What an error says, in one line; libraries' messages may have several."""
    return " ".join(str(error).split()) or type(error).__name__


def nearest(name: str, known: Collection[str]) -> str:
    """What a wrong name may have been meant to be, as the middle of a message; "" if nothing is like it."""
    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def not_among(name: str, known: Collection[str]) -> str:
    """The end of a message about a wrong name: what it may have been meant to be, and what there is."""
    near = nearest(name, known)
    return f"{near} known: {', '.join(known)}" if near else f"; known: {', '.join(known) or 'none'}"
