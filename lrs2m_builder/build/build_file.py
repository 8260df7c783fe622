"""Builds that can be kept: the settings file of `lrs2m build FILE`, and the command in build.json that --resume runs.

A key of a settings file is the name of an option of `lrs2m build`, with _ for -. `builds:` lists several builds; the
keys beside it are shared by all of them. A path means what it means as an option: it starts in the current folder.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from lrs2m_builder.build.options import BuildOptions, ImageStorage, VerifyOption
from lrs2m_builder.build.plan import make_plan, model_names
from lrs2m_builder.build.settings import BUILD_JSON
from lrs2m_builder.checks import every_check, parse_levels
from lrs2m_builder.declared.recipe import load_recipe
from lrs2m_builder.declared.settings_file import dumped, merged, read_settings, replaced, write_settings
from lrs2m_builder.declared.shipped import find
from lrs2m_builder.declared.yaml_mapping import invalid
from lrs2m_builder.errors import UserError
from lrs2m_builder.stores import open_store
from lrs2m_builder.stores._base import read_object
from lrs2m_builder.verify.verdicts import parse_thresholds

COMMAND = "command"  # the key of build.json
_BUILDS = "builds"
_SECRET_OPTIONS = {"hf_token"}  # of engines; they belong into the environment
_USER_INFO = re.compile(r"(?<=://)[^/@]*@")


def _thresholds(value: Any) -> Any:
    """The thresholds in a calibration.json, if its path is given."""
    return parse_thresholds([value], "verify_threshold") if isinstance(value, str) else value


Count = Annotated[int, Field(ge=1)]


class BuildSettings(BaseModel):
    """The options of one build, by their names; those that are not given have their defaults.

    Attributes:
        verify_threshold: by kind of claim; a file may also name a calibration.json.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    recipe: str
    source: str
    out: str
    data_dir: str | None = None
    engine: str = "vllm"
    model: str | None = None
    base_url: str | None = None
    engine_option: dict[str, Any] = {}
    sampling: dict[str, Any] = {}
    check: dict[str, str] = {}
    images: ImageStorage = "embed"
    limit: Count | None = None
    shard_size: Count | None = None
    max_attempts: Count | None = None
    max_reject_rate: Annotated[float, Field(ge=0, le=1)] = 0.5
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] = 0
    system: str = ""
    texts: Count | None = None
    verify: VerifyOption = "off"
    verify_model: str | None = None
    verify_threshold: Annotated[dict[str, float], BeforeValidator(_thresholds)] = {}
    replicas: Annotated[str, BeforeValidator(str)] = "1"
    ray_address: str | None = None
    stall_minutes: Annotated[float, Field(ge=0.05)] | None = None
    scratch: str | None = None

    def options(self, data_dir: Path | None, **run: Any) -> BuildOptions:
        """The options of the build.

        Args:
            data_dir: for a source that needs none to be given.
            run: what concerns this run alone, such as `restart`.

        Raises:
            UserError: no such recipe, check or kind of claim.
        """
        given = {key: value for key, value in self.model_dump(include=_SAME).items() if value is not None}
        address = {} if self.base_url is None else {"base_url": self.base_url}
        thresholds = _pairs(self.verify_threshold)
        known = {*load_recipe(self.recipe).check_names, *every_check()}
        return BuildOptions(
            **given,
            data_dir=Path(self.data_dir) if self.data_dir is not None else data_dir,
            out_dir=self.out if "://" in self.out else Path(self.out),
            engine_options=self.engine_option | address,
            checks=parse_levels(_pairs(self.check), known),
            thresholds=parse_thresholds(thresholds, "--verify-threshold") if thresholds else {},
            scratch=Path(self.scratch) if self.scratch is not None else None,
            command=self.command(),
            **run,
        )

    def command(self) -> dict[str, Any]:
        """The settings that were given, for build.json: paths are absolute, secrets are left out."""
        given = dict(without_secrets(self))
        for key in _PATHS & given.keys():
            given[key] = _absolute(key, given[key])
        return given


# Those that have the same name and kind among the options of a build.
_SAME = {
    *("recipe", "source", "engine", "model", "sampling", "images", "limit", "shard_size", "max_attempts", "seed"),
    *("system", "texts", "verify", "verify_model", "stall_minutes"),
}
_PATHS = {"recipe", "source", "data_dir", "model", "verify_model", "scratch", "out"}
KEYS = tuple(BuildSettings.model_fields)


@dataclass(frozen=True, slots=True)
class SettingsFile:
    """A file with the settings of one or several builds.

    Attributes:
        name: what it is called in messages.
        builds: the keys of each build, with those that they share.
        is_list: whether it lists several builds.
    """

    name: str
    builds: tuple[Mapping[str, Any], ...]
    is_list: bool

    def with_flags(self, flags: Mapping[str, Any]) -> tuple[list[BuildSettings], list[str]]:
        """The settings of each build, and a line for each option that replaces what the file says.

        Args:
            flags: the options that were typed; they win.

        Raises:
            UserError: a key is unknown or missing, a value is of the wrong kind, or two builds have the same --out.
        """
        settings, notes = [], []
        for number, keys in enumerate(self.builds, 1):
            where = f"{self.name}: build {number}" if self.is_list else self.name
            settings.append(validated(merged(keys, flags), where))
            notes += replaced(keys, flags, where)
        outs = [str(one.out).rstrip("/") for one in settings]
        if twice := next((out for out in outs if outs.count(out) > 1), None):
            raise UserError(f"{self.name}: two builds have out {twice}; give each its own")
        return settings, notes


def read_build_file(name: str) -> SettingsFile:
    """Read a shipped settings file by name, or the user's own by path.

    Raises:
        UserError: no such file, not YAML, or a key that is unknown.
    """
    path = find("builds", name)
    raw = read_settings(path)
    entries = raw.pop(_BUILDS, None)
    if entries is None:
        return SettingsFile(str(path), (raw,), False)
    if not isinstance(entries, list) or not entries or not all(isinstance(each, dict) for each in entries):
        raise UserError(f"{path}: builds: a list with the keys of each build, such as - {{source: ucmerced, out: out}}")
    return SettingsFile(str(path), tuple(merged(raw, each) for each in entries), True)


def kept_command(out: str) -> SettingsFile:
    """The command by which a build was begun, from its build.json.

    Raises:
        UserError: no build was begun there, or its command is not known.
    """
    found = read_object(open_store(out), BUILD_JSON)
    if found is None:
        raise UserError(
            f"--resume {out}: holds no {BUILD_JSON}, so no build was begun there; start one with --out {out}"
        )
    command = found.get(COMMAND)
    if not isinstance(command, dict) or not command:
        raise UserError(
            f"--resume {out}: its {BUILD_JSON} does not hold the command (an earlier version began it, or a script); "
            "give the same options as before with --out"
        )
    return SettingsFile(f"{out.rstrip('/')}/{BUILD_JSON}", (command | {"out": out},), False)


def validated(keys: Mapping[str, Any], where: str) -> BuildSettings:
    """The settings, checked.

    Raises:
        UserError: a key is unknown or missing, or a value is of the wrong kind.
    """
    if missing := [key for key in ("recipe", "source", "out") if key not in keys]:
        if where:
            raise UserError(f"{where}: no {' and no '.join(missing)}; add it")
        options = " and ".join(f"--{key}" for key in missing)
        raise UserError(f"Missing {options}; give it, or a settings file (try: lrs2m build --help)")
    try:
        return BuildSettings(**keys)
    except ValidationError as error:
        raise invalid(where or "settings", error, [*KEYS, _BUILDS]) from error


def write_build_file(path: Path, builds: Sequence[BuildSettings]) -> None:
    """Write settings as a file of `lrs2m build FILE`, with what they resolve to as comments.

    Raises:
        UserError: the file exists, or a recipe, source or model cannot be used.
    """
    if len(builds) == 1:
        lines = [f"# {_resolved(builds[0])}", *dumped(without_secrets(builds[0]))]
    else:
        lines = [f"{_BUILDS}:"]
        for one in builds:
            first, *rest = dumped(without_secrets(one))
            lines += [f"  # {_resolved(one)}", f"  - {first}", *(f"    {line}" for line in rest)]
    write_settings(path, "build", lines)


def _resolved(settings: BuildSettings) -> str:
    """What recipe, source and model are at present."""
    options = settings.options(None)
    plan = make_plan(options)
    steps = zip(plan.recipe.steps, model_names(options, plan), strict=True)
    texts = [f"{step.writes} by {name}" for step, name in steps] or ["no model is asked"]
    return f"{plan.recipe.name}.v{plan.recipe.version} of {plan.manifest.name}: {'; '.join(texts)}"


def _pairs(values: Mapping[str, Any]) -> list[str]:
    """As an option takes them: `NAME=VALUE`."""
    return [f"{name}={value}" for name, value in values.items()]


def without_secrets(settings: BuildSettings) -> dict[str, Any]:
    """The settings that were given, without passwords."""
    given = settings.model_dump(mode="json", exclude_unset=True)
    if settings.base_url is not None:
        given["base_url"] = _USER_INFO.sub("", settings.base_url)
    if "engine_option" in given:
        given["engine_option"] = {k: v for k, v in settings.engine_option.items() if k not in _SECRET_OPTIONS}
    return given


def _absolute(key: str, value: Any) -> Any:
    """The value with its path made absolute, if it is one: a shipped name or a model of the Hub is none."""
    if not isinstance(value, str) or "://" in value:
        return value
    if key in ("recipe", "source"):
        is_path = "/" in value or value.endswith((".py", ".yaml"))
    else:
        is_path = key in ("data_dir", "scratch", "out") or Path(value).exists()
    return str(Path(value).absolute()) if is_path else value
