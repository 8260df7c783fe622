"""A trained model as a repository of the Hub: what transformers and open_clip load without remote code, and a card."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from lrs2m_builder import __version__
from lrs2m_builder.dataset.pages import render
from lrs2m_builder.dataset.publish.upload import STATE, Uploaded, check_repo_id, find_token, tree_sizes, upload_tree
from lrs2m_builder.errors import MissingExtraError, UserError
from lrs2m_builder.evals.record import Result
from lrs2m_builder.evals.registry import evaluations
from lrs2m_builder.evals.results import read_results
from lrs2m_builder.files import read_json, write_json
from lrs2m_builder.stores.outputs import finished_folder


@dataclass(frozen=True, slots=True)
class ModelReport:
    """What was written, and where it went.

    Attributes:
        files: sizes by path, of what is or would be uploaded.
        uploaded: None for a dry run.
    """

    tree: str
    repo_id: str
    files: dict[str, int]
    uploaded: Uploaded | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """Results of one evaluation: a line per model and set, with a cell per metric."""

    title: str
    metrics: tuple[str, ...]
    lines: tuple[tuple[str, str, tuple[str, ...]], ...]


def find_model(path: Path) -> Path | None:
    """The folder of the model, if this is a run of `lrs2m train` or a model's own folder.

    Raises:
        UserError: it is a run that is not finished.
    """
    if (path / "model" / "config.json").is_file():
        return path / "model"
    if not (path / "config.json").is_file():
        return None
    content = read_json(path / "config.json")
    if "start_revision" in content:
        raise UserError(f"{path}: the run is not finished: there is no {path / 'model'}; run `lrs2m train` to its end")
    return path if "model_type" in content else None


def publish_model(
    path: Path,
    repo_id: str,
    *,
    results: Path | None = None,
    datasets: Sequence[str] = (),
    license_id: str | None = None,
    private: bool = False,
    dest: Path | None = None,
    dry_run: bool = False,
) -> ModelReport:
    """Write the tree of a model and upload it; the same call resumes after a stop.

    Args:
        path: a run of `lrs2m train`, or a folder with a model of transformers' format.
        results: folder with what `lrs2m eval` wrote, for the tables of the card.
        datasets: data sets of the Hub that it was trained on; the card links them.
        license_id: the model's licence as the Hub names it.
        dest: folder of the tree; default: beside the path, with ".hub" after its name.
        dry_run: write the tree alone; needs no token.

    Raises:
        UserError: no model, bad names or results, no token, the Hub or the disk fails.
        MissingExtraError: what loads models is not installed.
    """
    check_repo_id(repo_id)
    for name in datasets:
        check_repo_id(name, "--trained-on")
    token = "" if dry_run else find_token()
    dest = dest or path.resolve().with_name(f"{path.resolve().name}.hub")
    _make_tree(path, dest, repo_id, results, datasets, license_id)
    report = ModelReport(str(dest), repo_id, tree_sizes(dest))
    if dry_run:
        return report
    uploaded = upload_tree(
        dest,
        repo_id,
        repo_type="model",
        private=private,
        message=f"A CLIP, by lrs2m-builder {__version__}",
        token=token,
    )
    return replace(report, uploaded=uploaded)


def _make_tree(
    path: Path, dest: Path, repo_id: str, results: Path | None, datasets: Sequence[str], license_id: str | None
) -> None:
    """Write the model's files and the card; a tree that was made from the same is taken as it is."""
    folder = find_model(path)
    if folder is None:
        raise UserError(f"{path}: no model; give a run of `lrs2m train`, or a folder with a model's config.json")
    found = read_results(results) if results else []
    beside = [path / "config.json", path / "metrics.jsonl"] if folder != path else []
    files = [*sorted(file for file in folder.iterdir() if file.is_file()), *(file for file in beside if file.is_file())]
    times = [(str(file.resolve()), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    settings = [__version__, repo_id, list(datasets), license_id, [repr(result) for result in found]]
    state = {"made_from": hashlib.sha256(json.dumps([times, settings]).encode()).hexdigest()}
    if (dest / STATE).is_file():
        if read_json(dest / STATE) == state:
            return
        raise UserError(f"{dest}: holds a tree that was made from something else; remove it or give --dest")
    try:
        from lrs2m_builder.clip.model import load
        from lrs2m_builder.clip.save import save
        from lrs2m_builder.clip.towers import OpenClipTowers
    except ImportError as error:
        raise MissingExtraError("publishing a model", "train", error) from error
    loaded = load(str(folder), context_length=None)
    if isinstance(loaded.model, OpenClipTowers):
        raise UserError(f"{folder}: no card is made of towers that only open_clip has; hf upload {repo_id} {folder}")
    run = _read_run(path) if folder != path else None
    with finished_folder(dest, "publish") as part:
        save(loaded, part / "model")
        for file in (part / "model").glob("[!.]*"):  # its checksums stay: the Hub has its own
            file.rename(part / file.name)
        shutil.rmtree(part / "model")
        tables = list(make_tables(found, loaded.revision, repo_id))
        card = make_model_card(repo_id, loaded.model.config, run, tables, datasets, license_id)
        (part / "README.md").write_text(card, encoding="utf-8")
        write_json(part / STATE, state)


def make_model_card(
    repo_id: str,
    architecture: Any,
    run: dict[str, Any] | None,
    tables: Sequence[Table],
    datasets: Sequence[str],
    license_id: str | None,
) -> str:
    """The text of README.md.

    Args:
        run: config.json of the run with "last", its last line of metrics; None for a model of no run.
    """
    start = run["config"]["start"] if run else ""
    is_on_hub = start.count("/") == 1 and not start.startswith((".", "/", "~")) and not Path(start).exists()
    front = {
        **({"license": license_id} if license_id else {}),
        "library_name": "transformers",
        "pipeline_tag": "zero-shot-image-classification",
        "language": ["en"],
        "tags": ["clip", "open_clip", "remote-sensing", "earth-observation", "image-text-retrieval", "long-captions"],
        **({"datasets": list(datasets)} if datasets else {}),
        **({"base_model": start} if is_on_hub else {}),
    }
    body = render(
        Path(__file__).with_name("model_card.md.jinja"),
        repo_id=repo_id,
        title=repo_id.split("/")[-1],
        vision=architecture.vision_config,
        text=architecture.text_config,
        run=run,
        evaluated={k.removeprefix("eval_"): v for k, v in run["shown"].items() if k.startswith("eval_")} if run else {},
        datasets=datasets,
        tables=tables,
        version=__version__,
    )
    return f"---\n{yaml.safe_dump(front, sort_keys=False, allow_unicode=True, width=120)}---\n\n{body}"


def _read_run(path: Path) -> dict[str, Any]:
    """The settings of a run, its last line of metrics under "last", and that of the saved weights under "shown"."""
    lines = [json.loads(line) for line in (path / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    written = read_json(path / "config.json")
    config = {"where": None, "best": None, "best_by": None, "keep_best": None} | written[
        "config"
    ]  # an earlier version has fewer
    return {"trained_on": [], **written, "config": config, "last": lines[-1], "shown": _shown(lines, config)}


def _shown(lines: Sequence[dict[str, Any]], config: dict[str, Any]) -> dict[str, Any]:
    """The line of the step whose weights are saved."""
    name = f"eval_{config['keep_best']}"
    measured = [line for line in lines if name in line]
    return max(measured, key=lambda line: float(line[name])) if measured else lines[-1]


def make_tables(results: Sequence[Result], revision: str, repo_id: str) -> Iterator[Table]:
    """Yield a table per evaluation that has results; those of this model get its name on the Hub."""
    for name, evaluation in evaluations().items():
        if found := [result for result in results if result.evaluation == name]:
            lines = tuple(
                (
                    f"**{repo_id}**" if result.revision == revision else result.model,
                    result.dataset,
                    tuple(
                        evaluation.shown(result.metrics[metric]) if metric in result.metrics else "-"
                        for metric in evaluation.metrics
                    ),
                )
                for result in sorted(found, key=lambda each: (each.dataset, each.model))
            )
            yield Table(evaluation.title, tuple(evaluation.metrics.values()), lines)
