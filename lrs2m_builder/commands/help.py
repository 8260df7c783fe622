"""The content of `--help` and docs/cli.md: both are made from the rows of `parameter_rows`.

The docstring of a command is its help. Its first sentence, of at most 45 characters, is shown in the list of commands;
the last paragraph, headed "Example:", holds command lines.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from importlib import import_module
from inspect import cleandoc
from typing import Any, NamedTuple

import typer
import typer.main
from typer.core import TyperCommand, TyperGroup

from lrs2m_builder.commands._addresses import refuse_addresses

MAX_WIDTH = 120


class HelpRow(NamedTuple):
    """An argument or option in words; `default` is empty without a default to show."""

    name: str
    meaning: str
    default: str


def parameter_rows(parameters: Iterable[Any], kind: str) -> list[HelpRow]:
    """The rows of all arguments or of all options.

    Args:
        kind: "argument" or "option".
    """
    return [_row(item) for item in parameters if item.param_type_name == kind and not getattr(item, "hidden", False)]


def _row(parameter: Any) -> HelpRow:
    is_argument = parameter.param_type_name == "argument"
    name = _usage(parameter) if is_argument else parameter.opts[0]
    is_flag = getattr(parameter, "is_flag", False)
    if is_flag and parameter.default is True:  # only its negative form changes anything
        name = parameter.secondary_opts[0]
    elif not is_flag and not is_argument:
        name = f"{name} {parameter.metavar}"
    meaning = f"{parameter.help} Repeatable." if getattr(parameter, "multiple", False) else parameter.help
    shows_default = parameter.show_default and not is_flag and parameter.default not in (None, "")
    default = "required" if parameter.required else str(parameter.default) if shows_default else ""
    return HelpRow(name, meaning, default)


def _usage(argument: Any) -> str:
    return str(argument.metavar) + ("..." if argument.nargs != 1 else "")


def _write_parameters(command: Any, context: Any, formatter: Any) -> None:
    for title, kind in (("Arguments", "argument"), ("Options", "option")):
        rows = parameter_rows(command.get_params(context), kind)
        if rows:
            with formatter.section(title):
                formatter.write_dl([(row.name, f"{row.meaning}{_note(row)}") for row in rows])


def _note(row: HelpRow) -> str:
    return f"  [{'' if row.default == 'required' else 'default: '}{row.default}]" if row.default else ""


def _write_example(command: Any, formatter: Any) -> None:
    """Command lines, never wrapped."""
    if command.epilog:
        with formatter.section("Example"):
            for line in command.epilog.splitlines():
                formatter.write(f"{'':{formatter.current_indent}}{line}\n")


def _names_only(items: list[Any]) -> list[Any]:
    """Completions without their help: rendering it imports rich, which doubles the time of a Tab."""
    for item in items:
        item.help = None
    return items


class DocumentedCommand(TyperCommand):
    """A command whose help shows metavars, defaults and an example, and of a flag only the form that changes it.

    It refuses addresses such as s3://bucket/run wherever its parameters take paths or names.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        words, _, _ = self.make_parser(ctx).parse_args(args=list(args))
        if not ctx.resilient_parsing and not words.get("help"):
            refuse_addresses(words, self.params)
        return super().parse_args(ctx, args)

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        return ["[OPTIONS]", *(_usage(item) for item in self.params if item.param_type_name == "argument")]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        _write_parameters(self, ctx, formatter)

    def shell_complete(self, ctx: Any, incomplete: str) -> list[Any]:
        return _names_only(super().shell_complete(ctx, incomplete))

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        _write_example(self, formatter)


Content = Callable[..., None] | typer.Typer  # a function that becomes a command, or a group
Load = Callable[[], Content]


class LateCommands(MutableMapping[str, Any]):
    """Commands by name, each imported and built the first time it is asked for: starting needs one of them."""

    def __init__(self, loads: Mapping[str, Load]) -> None:
        self._loads = dict(loads)
        self._built: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._built:
            self._built[name] = _build(self._loads[name]())
            self._built[name].name = name
        return self._built[name]

    def __setitem__(self, name: str, command: Any) -> None:
        self._built[name] = command

    def __delitem__(self, name: str) -> None:
        raise TypeError("commands stay")

    def __iter__(self) -> Iterator[str]:
        return iter({**self._loads, **self._built})

    def __len__(self) -> int:
        return len({**self._loads, **self._built})

    def first_sentences(self) -> list[tuple[str, str]]:
        """Names and the first sentences of their help, without building a command."""
        return [(name, _help_text(load()).partition("\n")[0]) for name, load in self._loads.items()]


def _help_text(content: Content) -> str:
    return str(content.info.help) if isinstance(content, typer.Typer) else cleandoc(content.__doc__ or "")


def _build(content: Content) -> Any:
    if isinstance(content, typer.Typer):
        return typer.main.get_group(content)
    prose, example = split_help(content.__doc__ or "")
    alone = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    alone.command(cls=DocumentedCommand, help=prose, epilog=example)(content)
    return typer.main.get_command(alone)


class DocumentedGroup(TyperGroup):
    """A group of late commands with the help of a `DocumentedCommand`."""

    loads: Mapping[str, Load]

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = self.late_commands = LateCommands(self.loads)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        _write_parameters(self, ctx, formatter)
        with formatter.section("Commands"):
            formatter.write_dl(self.late_commands.first_sentences())

    def shell_complete(self, ctx: Any, incomplete: str) -> list[Any]:
        return _names_only(super().shell_complete(ctx, incomplete))

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        _write_example(self, formatter)


def make_group(text: str, loads: Mapping[str, Load], **settings: Any) -> typer.Typer:
    """A group of commands.

    Args:
        text: has the form of a command's docstring.
        loads: functions that import a command's function (its docstring is the help) or a group, by name.
    """
    prose, example = split_help(text)
    return typer.Typer(
        cls=type("Group", (DocumentedGroup,), {"loads": loads}),
        help=prose,
        epilog=example,
        context_settings={"max_content_width": MAX_WIDTH},
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        **settings,
    )


def late(module: str, name: str) -> Load:
    """What `from lrs2m_builder.commands.MODULE import NAME` gives, imported when it is called."""
    return lambda: getattr(import_module(f"lrs2m_builder.commands.{module}"), name)


def split_help(text: str) -> tuple[str, str]:
    """Prose and example of a docstring."""
    prose, _, example = cleandoc(text).partition("\n\nExample:\n")
    return prose, cleandoc(example)
