"""The command line.

Exit codes: 0 done; 1 a bug (traceback); 2 a bad setting or input (one line); 3 done, but more samples were rejected
than `--max-reject-rate` allows; 130 stopped by a signal, the same command resumes.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from contextlib import suppress
from typing import Annotated

import typer

from lrs2m_builder import __version__
from lrs2m_builder.commands.help import late, make_group
from lrs2m_builder.errors import Stopped, UserError
from lrs2m_builder.stopping import interruptible
from lrs2m_builder.terminal import marked
from lrs2m_builder.text import printable

COMMANDS = (  # each is the function NAME_command of commands/NAME.py
    *("build", "sources", "sample", "tile", "stats", "view", "compare", "audit", "verify", "score", "export"),
    *("publish", "train", "split", "claims", "convert", "demo"),
)

app = make_group(
    """Build image-text data for remote sensing.

    Makes a short and a long text per image, checks what they say, and writes Parquet; audits, reviews, converts and
    publishes data sets; trains CLIP models on them and evaluates them. The demo builds a small data set without a GPU,
    data or network.

    Example:
        lrs2m demo
    """,
    {
        **{name: late(name, f"{name}_command") for name in COMMANDS},
        "eval": late("eval", "eval_app"),
        "experiment": late("experiment", "experiment_app"),
    },
    name="lrs2m",
)


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    if version:
        print(f"lrs2m-builder {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        print(context.get_help())
        raise typer.Exit


def main() -> None:
    """Run the command line and exit with its code."""
    _open_streams()
    with interruptible() as interruption:
        try:
            code, complaint = _run(), ""
        except (KeyboardInterrupt, Stopped) as error:
            code, complaint = 130, str(error)
        except Exception as error:
            if interruption.came:
                code, complaint = 130, ""
            elif (outcome := _expected(error)) is None:
                raise
            else:
                code, complaint = outcome
    if code == 130:
        with suppress(OSError):  # standard error may be closed
            print(printable(complaint or "stopped; run the same command to resume"), file=sys.stderr, flush=True)
        os._exit(130)  # a starting engine's threads would keep the process alive
    if complaint:
        print(marked(f"error: {printable(complaint, one_line=True)}"), file=sys.stderr)
    sys.exit(code)


def _open_streams() -> None:
    """Open /dev/null for every closed standard stream; otherwise the next opened file would receive its output."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number: this one
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, closefd=False, encoding="utf-8"))  # noqa: SIM115 - open until the end


def _run() -> int:
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # the terminal may not use UTF-8
    code = app(prog_name="lrs2m", standalone_mode=False)
    sys.stdout.flush()
    return code if isinstance(code, int) else 0


def _expected(error: Exception) -> tuple[int, str] | None:
    """The exit code and message of an error that is not a bug; None for a bug."""
    if isinstance(error, UserError):
        return 2, str(error)
    if isinstance(error, BrokenPipeError):
        _print_no_more()  # the reader has gone
        return 1, ""
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        _print_no_more()
        return 2, "standard output: no space left"
    # The option parser's usage errors; their class has moved between releases.
    if hasattr(error, "format_message"):
        context = getattr(error, "ctx", None)
        message = error.format_message().replace(": Value error, ", ": ")  # a prefix of pydantic
        return 2, f"{message} (try: {context.command_path if context else 'lrs2m'} --help)"
    return None


def _print_no_more() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()
