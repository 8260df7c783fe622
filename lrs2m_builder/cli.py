"""The command line.

Exit codes: 0 done; 1 a bug (traceback); 2 a bad setting or input (one line); 3 done, but more samples were rejected
than `--max-reject-rate` allows; 130 stopped by a signal, the same command resumes.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Annotated

import typer

from lrs2m_builder import __version__
from lrs2m_builder.commands.audit import audit_command
from lrs2m_builder.commands.build import build_command
from lrs2m_builder.commands.claims import claims_command
from lrs2m_builder.commands.convert import convert_command
from lrs2m_builder.commands.demo import demo_command
from lrs2m_builder.commands.eval import eval_app, evaluation_command, models_command
from lrs2m_builder.commands.eval_all import all_command
from lrs2m_builder.commands.eval_figures import figure1_command, figure2_command, figure3_command
from lrs2m_builder.commands.experiment import experiment_app, list_command, run_command
from lrs2m_builder.commands.export import export_command
from lrs2m_builder.commands.help import add_command, make_group
from lrs2m_builder.commands.publish import publish_command
from lrs2m_builder.commands.sample import sample_command
from lrs2m_builder.commands.score import score_command
from lrs2m_builder.commands.sources import sources_command
from lrs2m_builder.commands.stats import stats_command
from lrs2m_builder.commands.tile import tile_command
from lrs2m_builder.commands.train import train_command
from lrs2m_builder.commands.verify import verify_command
from lrs2m_builder.commands.view import view_command
from lrs2m_builder.errors import Stopped, UserError
from lrs2m_builder.evals.registry import evaluations
from lrs2m_builder.stopping import interruptible
from lrs2m_builder.text import printable

app = make_group(
    """Build image-text data for remote sensing.

    Makes a short and a long text per image, checks what they say, and writes Parquet; audits, reviews, converts and
    publishes data sets; trains CLIP models on them and evaluates them. The demo builds a small data set without a GPU,
    data or network.

    Example:
        lrs2m demo
    """,
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


_COMMANDS: dict[typer.Typer, dict[str, Callable[..., None]]] = {
    app: {
        "build": build_command,
        "sources": sources_command,
        "sample": sample_command,
        "tile": tile_command,
        "stats": stats_command,
        "view": view_command,
        "audit": audit_command,
        "verify": verify_command,
        "score": score_command,
        "export": export_command,
        "publish": publish_command,
        "train": train_command,
        "claims": claims_command,
        "convert": convert_command,
        "demo": demo_command,
    },
    eval_app: {
        **{name: evaluation_command(each) for name, each in evaluations().items()},
        "all": all_command,
        "figure1": figure1_command,
        "figure2": figure2_command,
        "figure3": figure3_command,
        "models": models_command,
    },
    experiment_app: {"list": list_command, "run": run_command},
}
for _group, _commands in _COMMANDS.items():
    for _name, _function in _commands.items():
        add_command(_group, _name, _function)
app.add_typer(eval_app, name="eval")
app.add_typer(experiment_app, name="experiment")


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
        print(f"error: {printable(complaint, one_line=True)}", file=sys.stderr)
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
