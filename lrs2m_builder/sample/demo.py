"""`lrs2m demo`: drawn scenes through all four recipes with one engine, and a page with the results."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lrs2m_builder.build.options import BuildOptions
from lrs2m_builder.build.report import Report
from lrs2m_builder.build.run import build
from lrs2m_builder.engines import engine_module
from lrs2m_builder.engines._pool import EnginePool
from lrs2m_builder.errors import Stopped
from lrs2m_builder.sample import CAPTIONER
from lrs2m_builder.sample.asked_again import ListeningEngine, kept_again
from lrs2m_builder.sample.caught import find_caught, in_order
from lrs2m_builder.sample.demo_page import write_demo_page
from lrs2m_builder.sample.formats import MANIFEST, write_sample_source
from lrs2m_builder.stores.outputs import own_folder
from lrs2m_builder.verify.judge import judge_options

SEED = 2_000_000  # scenes that the captioner was not trained on
MAX_ATTEMPTS = 6  # a small model often miscounts; the checks detect it, and it is asked again
VERIFIED = "short_to_long"  # whose texts are held against the images, by the captioner itself
# If nothing was cut that is false for sure, more scenes are drawn, whose texts are written without a hint: these
# are wrong more often.
FURTHER, MAX_FURTHER = "image_to_text", 4
# The input format of each recipe, as in a real source of its kind.
SOURCES = {
    "merge": "world",
    "long_to_short": "vhm",
    "short_to_long": "karpathy",
    "vector_anchored": "geojson",
}


@dataclass(frozen=True, slots=True)
class Demo:
    """The results of the demo.

    Attributes:
        built: the folder of the data sets, one per recipe.
    """

    built: Path
    reports: dict[str, Report]
    page: Path


def demo(out_dir: Path, *, engine: str = "vllm", model: Path = CAPTIONER, num_scenes: int = 24) -> Demo:
    """Build a small data set with each recipe below `out_dir`, and write `index.html` there.

    Raises:
        UserError: the engine is not installed, or the folder holds other files or cannot be written.
        Stopped: by a signal; the same command resumes.
    """
    with own_folder(out_dir, "demo"):
        return _demo(out_dir, engine, model, num_scenes)


def _demo(out_dir: Path, engine: str, model: Path, num_scenes: int) -> Demo:
    sources = {recipe: _draw(out_dir / "scenes" / name, name, num_scenes) for recipe, name in SOURCES.items()}
    built = out_dir / "built"
    reports: dict[str, Report] = {}
    with ListeningEngine(engine_module(engine)) as pool:
        for recipe, path in sources.items():
            reports[recipe] = _build(recipe, path, built / recipe, engine, model, pool)
            pool.listened_to(built / recipe, recipe)
        caught, looked_at = find_caught(built / VERIFIED, SEED), num_scenes
        for seed in range(SEED + 1, SEED + 1 + MAX_FURTHER):
            if caught and caught[0].refuted:
                break
            manifest = _draw(out_dir / "scenes" / f"seed-{seed}", "geojson", num_scenes, seed)
            _build(FURTHER, manifest, further := out_dir / "further" / str(seed), engine, model, pool)
            pool.listened_to(further, FURTHER)
            caught, looked_at = in_order([*caught, *find_caught(further, seed)]), looked_at + num_scenes
    again = kept_again(out_dir, pool.found)
    page = write_demo_page(
        built, list(SOURCES), out_dir / "index.html", caught=caught, looked_at=looked_at, again=again
    )
    return Demo(built, reports, page)


def _draw(folder: Path, name: str, num_scenes: int, seed: int = SEED) -> Path:
    manifest = folder / MANIFEST
    return manifest if manifest.is_file() else write_sample_source(name, folder, num_scenes, seed)


def _build(recipe: str, manifest: Path, out_dir: Path, engine: str, model: Path, pool: EnginePool) -> Report:
    is_verified = recipe in {VERIFIED, FURTHER}
    options = BuildOptions(
        recipe=recipe,
        source=str(manifest),
        data_dir=manifest.parent,
        out_dir=out_dir,
        engine=engine,
        model=str(model),
        engine_options=judge_options(engine, {}),
        max_attempts=MAX_ATTEMPTS,
        verify="cut" if is_verified else "off",
    )
    report = build(options, pool)
    if report.stopped:
        raise Stopped
    return report
