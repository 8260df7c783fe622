"""The two expected kinds of error: a setting the user must change, and a sample that cannot be used."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator
from contextlib import contextmanager


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


@contextmanager
def flag_named(own: str, typed: str) -> Iterator[None]:
    """Let errors name the flag that was typed: the model of `--verify-model` is loaded as one of `--model`."""
    try:
        yield
    except UserError as error:
        message = str(error)
        if typed != own and message.startswith((f"{own} ", f"{own}:")):
            error.args = (typed + message.removeprefix(own),)
        raise


class Stopped(BaseException):
    """The user stopped the program while no work could be finished first; may report the state of the work."""


def storable(text: str) -> str:
    """The text with undecodable bytes of a path escaped, so that UTF-8 can encode it."""
    return text.encode("utf-8", "backslashreplace").decode()


class SampleError(Exception):
    """One sample cannot be used: it becomes a rejection and the build continues.

    Attributes:
        reason: short snake_case name, counted in the report.
        detail: what exactly was wrong, for a person.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = storable(detail)


def one_line(error: BaseException) -> str:
    """An error's message in one line; libraries' messages may have several."""
    return " ".join(str(error).split()) or type(error).__name__


def nearest(name: str, names: Collection[str]) -> str:
    """A "did you mean" clause for a wrong name, for the middle of a message; "" if no name is similar."""
    close = difflib.get_close_matches(name, names, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def not_among(name: str, names: Collection[str]) -> str:
    """The end of a message about a wrong name: the most similar name, and all names."""
    near = nearest(name, names)
    return f"{near} known: {', '.join(names)}" if near else f"; known: {', '.join(names) or 'none'}"
