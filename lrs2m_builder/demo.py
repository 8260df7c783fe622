"""`lrs2m demo`: drawn scenes through all four recipes and one engine, then what came of them, on one page."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lrs2m_builder.build import Report, build
from lrs2m_builder.demo_page import write_page
from lrs2m_builder.engines import engine_module
from lrs2m_builder.engines.base import Engine, EngineModule, Preview
from lrs2m_builder.errors import Stopped
from lrs2m_builder.outputs import own_folder
from lrs2m_builder.prepare import BuildOptions
from lrs2m_builder.sample import CAPTIONER
from lrs2m_builder.sample.formats import MANIFEST, write_sample_source
from lrs2m_builder.schema import Role
from lrs2m_builder.stats import read_stats
from lrs2m_builder.stats_text import stats_lines
from lrs2m_builder.terminal import show

SEED = 2_000_000  # of scenes that the captioner was not trained on
MAX_ATTEMPTS = 6  # a small model miscounts often; the checks see it, and it is asked again
# What each recipe starts from, in the format of a real source of its kind.
SOURCES = {
    "merge": "world",
    "long_to_short": "vhm",
    "short_to_long": "karpathy",
    "vector_anchored": "geojson",
}
NEXT = """\
The scenes are drawn and the words are those of a model of a few million parameters, made for this demo alone. The
engine, the checks and the files are those of a real build. With a real model, on a GPU:
  lrs2m sources                                  what can be built
  lrs2m sources ucmerced                         where to get it, and its licence
  lrs2m build --recipe short_to_long --source ucmerced --data-dir DIR --out OUT
  lrs2m stats OUT --paper"""


class _OneEngine:
    """An engine module whose engine is started once and serves every build until it is closed."""

    def __init__(self, module: EngineModule) -> None:
        self._module = module
        self._engine: Engine | None = None
        self.PERFORMANCE_OPTIONS = module.PERFORMANCE_OPTIONS

    def find(self, model: str, options: Mapping[str, Any]) -> tuple[str, str]:
        return self._module.find(model, options)

    def preview(self, model: str, role: Role, options: Mapping[str, Any]) -> Preview:
        return self._module.preview(model, role, options)

    def check(
        self, model: str, role: Role, options: Mapping[str, Any], samplings: Sequence[Mapping[str, Any]] = ()
    ) -> None:
        self._module.check(model, role, options, samplings)

    def load(
        self, model: str, role: Role, options: Mapping[str, Any], samplings: Sequence[Mapping[str, Any]] = ()
    ) -> Engine:
        """The engine, for both roles: a multimodal model answers text-only requests too."""
        if self._engine is None:
            self._engine = self._module.load(model, "mllm", options, samplings)
        return _Kept(self._engine)

    def close(self) -> None:
        if self._engine is not None:
            self._engine.close()


class _Kept:
    """An engine that the end of a build does not close."""

    def __init__(self, engine: Engine) -> None:
        self.name, self.model, self.revision = engine.name, engine.model, engine.revision
        self.max_in_flight = engine.max_in_flight
        self.image_size, self.generate = engine.image_size, engine.generate
        self.stop_waiting, self.finish = engine.stop_waiting, engine.finish

    def close(self) -> None:
        """Left to `_OneEngine`."""


def demo(out_dir: Path, *, engine: str = "vllm", model: Path = CAPTIONER, num_scenes: int = 24) -> Path:
    """Build a small data set by each recipe below `out_dir` and write `index.html` there; returns its path.

    Raises:
        UserError: the engine is not installed, or the folder holds something else or cannot be written.
        Stopped: by a signal; the same command goes on.
    """
    with own_folder(out_dir, "demo"):
        return _demo(out_dir, engine, model, num_scenes)


def _demo(out_dir: Path, engine: str, model: Path, num_scenes: int) -> Path:
    sources = {recipe: _draw(out_dir / "scenes" / name, name, num_scenes) for recipe, name in SOURCES.items()}
    module = _OneEngine(engine_module(engine))
    try:
        with asyncio.Runner() as loop:
            reports = {
                recipe: _build(recipe, path, out_dir, engine, model, module, loop) for recipe, path in sources.items()
            }
    finally:
        module.close()
    show("\n" + "\n".join(stats_lines(read_stats(out_dir / "built"), {})))
    for recipe, report in reports.items():
        rejected = sum(report.rejections.values())
        show(f"{recipe}: {report.samples} samples = {report.records} records + {rejected} rejections")
    page = write_page(out_dir / "built", list(SOURCES), out_dir / "index.html")
    show(f"\nPictures with their texts: {page.absolute()}\n\n{NEXT}")
    return page


def _draw(folder: Path, name: str, num_scenes: int) -> Path:
    manifest = folder / MANIFEST
    return manifest if manifest.is_file() else write_sample_source(name, folder, num_scenes, SEED)


def _build(
    recipe: str, manifest: Path, out_dir: Path, engine: str, model: Path, module: EngineModule, loop: asyncio.Runner
) -> Report:
    options = BuildOptions(
        recipe=recipe,
        source=str(manifest),
        data_dir=manifest.parent,
        out_dir=out_dir / "built" / recipe,
        engine=engine,
        model=str(model),
        max_attempts=MAX_ATTEMPTS,
    )
    report = build(options, module, loop)
    if report.stopped:
        raise Stopped
    return report
