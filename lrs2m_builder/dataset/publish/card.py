"""The card of a data set (README.md): metadata for the Hub, then text for people."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml

from lrs2m_builder import __version__
from lrs2m_builder.dataset.pages import render
from lrs2m_builder.dataset.publish.facts import Facts, SubsetFacts

HISTOGRAM = "assets/text_lengths.png"
SCORE_HISTOGRAM = "assets/scores.png"
RECIPES = {
    "merge": "joins a published long and a published short text of the same image; no model",
    "short_to_long": "a multimodal model sees the image and its short text and writes the long one",
    "long_to_short": "a text-only model summarises the long text in 20 words or less; it sees no image",
    "vector_anchored": "a multimodal model writes the long text from the image and the classes and counts of vector "
    "labels; a text-only model makes the short one from it",
    "vector_anchored_places": "a multimodal model writes the long text from the image and the classes, counts and "
    "places of vector labels; a text-only model makes the short one from it",
    "image_to_text": "a multimodal model writes the long text from the image and, if there is one, its label; a "
    "text-only model makes the short one from it",
}
# Licences of data that the Hub knows by these names.
_LICENSES = {
    *("apache-2.0", "mit", "cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "cc-by-nc-sa-4.0", "odc-by"),
    *("cdla-permissive-1.0", "cdla-permissive-2.0", "odbl", "pddl"),
}
_SIZES = ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"), (10**7, "1M<n<10M"))


def make_card(facts: Facts, schema: pa.Schema, repo_id: str) -> str:
    """The text of README.md.

    Args:
        schema: of the published records.
    """
    body = render(
        Path(__file__).with_name("card.md.jinja"),
        number=lambda value: f"{value:,}",
        names=_names,
        licenses=_licenses,
        facts=facts,
        repo_id=repo_id,
        title=repo_id.split("/")[-1],
        histogram=HISTOGRAM,
        score_histogram=SCORE_HISTOGRAM,
        recipes={name: words for name, words in RECIPES.items() if name in _recipes(facts)},
        columns=schema.names,
        version=__version__,
        written=_is_written(facts),
        unlicensed=any(subset.num_unlicensed for subset in facts.subsets),
        rs5m=any("RS5M" in (*s.stats.short.sources, *s.stats.long.sources) for s in facts.subsets),
    )
    front = yaml.safe_dump(front_matter(facts, schema, repo_id), sort_keys=False, allow_unicode=True, width=120)
    return f"---\n{front}---\n\n{body}"


def front_matter(facts: Facts, schema: pa.Schema, repo_id: str) -> dict[str, Any]:
    """The YAML header: licence, tasks, size, and the configurations with their columns and counts."""
    names = [subset.name for subset in facts.subsets]
    rows, size = facts.total.pairs, next((name for limit, name in _SIZES if facts.total.pairs < limit), "10M<n<100M")
    total = [sum(getattr(s.split, key) for s in facts.subsets) for key in ("num_bytes", "file_bytes")]
    assert rows == sum(subset.split.rows for subset in facts.subsets)
    return {
        **_license(facts),
        "pretty_name": repo_id.split("/")[-1],
        "task_categories": ["image-to-text", "zero-shot-image-classification"],
        "language": ["en"],
        "size_categories": [size],
        "tags": [
            *("remote-sensing", "earth-observation", "image-text", "clip", "long-captions", "lrs2m"),
            *(["synthetic"] if _is_written(facts) else []),
            *(["geospatial"] if facts.places and facts.places.rows else []),
        ],
        "configs": [
            _config("default", [f"data/{name}/train-*.parquet" for name in names], default=True),
            *(_config(name, [f"data/{name}/train-*.parquet"]) for name in names),
        ],
        "dataset_info": [
            _info("default", yaml_features(schema), rows, *total),
            *(
                _info(s.name, yaml_features(schema), s.split.rows, s.split.num_bytes, s.split.file_bytes)
                for s in facts.subsets
            ),
        ],
    }


def make_license_file(facts: Facts) -> str:
    """LICENSE.md: the terms of each subset, to which the card's `license_link` leads."""
    lines = [
        "# Licences",
        "",
        "Of images and published texts; the column `license` of each row says which is its own.",
        "",
    ]
    if _is_written(facts):
        lines += ["Texts that a model wrote are bound by the terms of that model too.", ""]
    for subset in facts.subsets:
        lines += [f"- `{subset.name}`: {_licenses(subset)}"]
    return "\n".join(lines) + "\n"


def yaml_features(schema: pa.Schema) -> list[dict[str, Any]]:
    """The columns as features of `datasets`, in YAML."""
    return [{"name": field.name, **_yaml_feature(field)} for field in schema]


def _yaml_feature(field: pa.Field) -> dict[str, Any]:
    if field.name == "image":
        return {"dtype": "image"}
    if pa.types.is_struct(field.type):
        return {"struct": yaml_features(pa.schema(list(field.type)))}
    if not pa.types.is_list(field.type):
        return {"dtype": "float64" if pa.types.is_float64(field.type) else str(field.type)}
    item = field.type.value_type
    return {"list": yaml_features(pa.schema(list(item))) if pa.types.is_struct(item) else str(item)}


def _config(name: str, paths: Sequence[str], *, default: bool = False) -> dict[str, Any]:
    files = [{"split": "train", "path": list(paths) if len(paths) > 1 else paths[0]}]
    return {"config_name": name, "data_files": files} | ({"default": True} if default else {})


def _info(name: str, features: list[dict[str, Any]], rows: int, num_bytes: int, file_bytes: int) -> dict[str, Any]:
    return {
        "config_name": name,
        "features": features,
        "splits": [{"name": "train", "num_bytes": num_bytes, "num_examples": rows}],
        "download_size": file_bytes,
        "dataset_size": num_bytes,
    }


def _license(facts: Facts) -> dict[str, str]:
    names = {name.lower().replace(" ", "-") for name in facts.total.licenses if name.strip()}
    is_stated = not any(subset.num_unlicensed for subset in facts.subsets)
    if is_stated and len(names) == 1 and names <= _LICENSES:
        return {"license": names.pop()}
    return {"license": "other", "license_name": "see-each-subset", "license_link": "LICENSE.md"}


def _recipes(facts: Facts) -> set[str]:
    return {origin.recipe.split(".")[0] for subset in facts.subsets for origin in subset.made}


def _is_written(facts: Facts) -> bool:
    """Whether a model wrote any of the texts."""
    return any(origin.model for subset in facts.subsets for origin in subset.made)


def _licenses(subset: SubsetFacts) -> str:
    """The licences of a subset's rows, and the number of rows without one."""
    without, rows = subset.num_unlicensed, subset.stats.pairs
    stated = "no licence stated" if without == rows else f"no licence stated for {without:,} of {rows:,} rows"
    names = [name for name in subset.stats.licenses if name.strip()]
    return _names([*names, *([stated] if without else [])])


def _names(names: Sequence[str]) -> str:
    return "; ".join(names)
