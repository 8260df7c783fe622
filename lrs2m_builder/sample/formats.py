"""Writes drawn scenes to disk in the formats of the real sources, each with the manifest that reads it back."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from tqdm import tqdm

from lrs2m_builder.errors import UserError, not_among
from lrs2m_builder.sample import labels
from lrs2m_builder.sample.drawing.scene import Scene, draw_scene
from lrs2m_builder.sample.evaluation import write_mosaics
from lrs2m_builder.sample.texts import SceneTexts, write_texts
from lrs2m_builder.stores.outputs import finished_folder

MANIFEST = "manifest.yaml"


@dataclass(frozen=True, slots=True)
class Drawn:
    """A scene with its texts and the name of its image file."""

    image: str
    scene: Scene
    texts: SceneTexts


@dataclass(frozen=True, slots=True)
class AnnotationFormat:
    """How to write scenes to disk.

    Attributes:
        reader: the `format` of the manifest, with its options.
        annotations: their path, for the manifest.
        name: name of an image file; `{index}` and `{scene}` are filled in.
    """

    write: Callable[[Path, Sequence[Drawn]], None]
    reader: str
    annotations: str
    images: str = "images"
    name: str = "{index:05d}.png"
    options: dict[str, Any] | None = None


def write_sample_source(
    format_name: str, out_dir: Path, num_scenes: int, seed: int = 0, *, progress: bool = False
) -> Path:
    """Draw scenes into a folder: images, annotations and a manifest; returns the manifest's path.

    Raises:
        UserError: no such format, or the folder is not empty or cannot be written.
    """
    if format_name not in FORMATS:
        raise UserError(f"no sample format {format_name!r}{not_among(format_name, FORMATS)}")
    layout, drawn = FORMATS[format_name], []
    with finished_folder(out_dir, "sample") as folder:
        (folder / layout.images).mkdir()
        for index in tqdm(range(num_scenes), "drawing", unit=" scenes", disable=not progress):
            scene = draw_scene(seed, index)
            name = layout.name.format(index=index, scene=scene.name.replace(" ", "_"))
            (folder / layout.images / name).parent.mkdir(exist_ok=True)
            scene.image.save(folder / layout.images / name, compress_level=1)
            drawn.append(Drawn(name, scene, write_texts(scene)))
        layout.write(folder, drawn)
        manifest = _manifest(format_name, layout, out_dir)
        (folder / MANIFEST).write_text(yaml.safe_dump(manifest, sort_keys=False), encoding="utf-8")
    return out_dir / MANIFEST


def _manifest(format_name: str, layout: AnnotationFormat, out_dir: Path) -> dict[str, Any]:
    options = dict(layout.options or {})
    if format_name == "rs5m":
        options["templates"] = str((out_dir / "geometa_template.json").absolute())
    return {
        "name": f"sample_{format_name}",
        "title": f"Sample world, written as {format_name}",
        "format": layout.reader,
        "options": options,
        "files": {"annotations": [layout.annotations], "images": [f"{layout.images}/{{filename}}", *_bare(layout)]},
        "rows": "image",
        "viewpoint": "overhead",
        "license": "CC0-1.0",
        "redistribute": "images",
        "homepage": "none",
        "citation": "none",
        "get": f"lrs2m sample --format {format_name} --out DIR draws it",
        "texts_from": "sample world",
    }


def _bare(layout: AnnotationFormat) -> list[str]:
    """How some sources name an image: without its extension, or with its folder."""
    return ["{filename}"] if layout.reader == "vhm_json" else [f"{layout.images}/{{filename}}.*"]


def _world(folder: Path, drawn: Sequence[Drawn]) -> None:
    with (folder / "scenes.jsonl").open("w", encoding="utf-8") as file:
        for item in drawn:
            file.write(json.dumps(truth(item)) + "\n")


def truth(item: Drawn) -> dict[str, Any]:
    """All facts of a scene, for JSON."""
    scene = item.scene
    objects = [
        {"class": o.name, "color": o.color, "box": o.box, "polygon": o.polygon, "cell": o.cell} for o in scene.objects
    ]
    return {
        "image": item.image,
        "scene": scene.name,
        "land_cover": scene.land_cover,
        "gsd": scene.gsd,
        "captions": item.texts.captions,
        "caption_short": item.texts.short,
        "caption_long": item.texts.long,
        "objects": objects,
    }


SPLITS = ("train", "train", "train", "train", "val", "test")


def _karpathy(folder: Path, drawn: Sequence[Drawn], splits: Sequence[str] = SPLITS) -> None:
    numbers, images = iter(range(len(drawn) * 5)), []
    for imgid, item in enumerate(drawn):
        sentences = [
            {"raw": text, "tokens": text.lower().strip(".").split(), "imgid": imgid, "sentid": next(numbers)}
            for text in item.texts.captions
        ]
        split = splits[imgid % len(splits)]
        sentids = [sentence["sentid"] for sentence in sentences]
        images.append(
            {"filename": item.image, "imgid": imgid, "sentences": sentences, "split": split, "sentids": sentids}
        )
    _json(folder / "dataset.json", {"images": images, "dataset": "sample"})


def _evaluation(folder: Path, drawn: Sequence[Drawn]) -> None:
    """The same unseen scenes as long texts, five captions, class folders, and mosaics with regions."""
    _world(folder, drawn)
    _karpathy(folder, drawn, splits=("test",))
    write_mosaics(folder / "mosaics", [item.scene for item in drawn])


def _vhm(folder: Path, drawn: Sequence[Drawn]) -> None:
    question = "<image>\nDescribe the image in detail."
    _json(
        folder / "list_pretrain.json",
        [
            {
                "image": item.image,
                "source_dataset": "sample",
                "conversations": [{"from": "human", "value": question}, {"from": "gpt", "value": item.texts.long}],
            }
            for item in drawn
        ],
    )


def _remoteclip(folder: Path, drawn: Sequence[Drawn]) -> None:
    with (folder / "captions.csv").open("w", encoding="utf-8-sig", newline="") as file:
        lines = csv.writer(file, delimiter="\t")
        lines.writerow(["title", "filename"])
        lines.writerows([f"{text[:-1]} .", item.image] for item in drawn for text in item.texts.captions)


# As in RS5M: a sentence of facts that no image shows, then what the image shows.
TEMPLATES = (
    "recorded over {country} in {month_year}, the frame shows {class_label} in its {relative_location} part. "
    "the ground sample distance is {gsd}m in utm zone {utm_zone}.",
    "{class_label} is found in the {relative_location} of this scene from {country}. "
    "it was taken at {hour} o'clock with off-nadir {angle}? in utm zone {utm_zone}.",
)


def metadata(item: Drawn) -> str:
    """The metadata sentences of a scene; place and time are invented, class and ground sample distance are true."""
    scene = item.scene
    return TEMPLATES[scene.index % len(TEMPLATES)].format(
        country="Nowhere",
        month_year="June 2020",
        class_label=scene.name,
        relative_location="center",
        gsd=f"{scene.gsd:.2f}",
        utm_zone=f"{scene.index % 60 + 1}N",
        hour=9 + scene.index % 8,
        angle=f"{scene.index % 30}.5",
    )


def _rs5m(folder: Path, drawn: Sequence[Drawn]) -> None:
    _json(folder / "geometa_template.json", {"sample": list(TEMPLATES)})
    with (folder / "rs3_sample.csv").open("w", encoding="utf-8", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(["name", "caption"])
        lines.writerows([item.image, f"{metadata(item)} {visible(item)}"] for item in drawn)


def visible(item: Drawn) -> str:
    """The sentence about the image itself: lower case, no full stop, as BLIP-2 writes it."""
    text = item.texts.captions[0]
    return text[0].lower() + text[1:-1]


def _labels(write_one: Callable[[Scene], str], suffix: str) -> Callable[[Path, Sequence[Drawn]], None]:
    """A writer of one label file per image, named after it."""

    def write(folder: Path, drawn: Sequence[Drawn]) -> None:
        (folder / "labels").mkdir()
        for item in drawn:
            path = folder / "labels" / Path(item.image).with_suffix(suffix)
            path.write_text(write_one(item.scene), encoding="utf-8")

    return write


def _masks(folder: Path, drawn: Sequence[Drawn]) -> None:
    (folder / "labels").mkdir()
    for item in drawn:
        labels.class_mask(item.scene).save(folder / "labels" / item.image)


def _coco(folder: Path, drawn: Sequence[Drawn]) -> None:
    _json(folder / "annotations.json", labels.coco([(item.image, item.scene) for item in drawn]))


def _jsonl(folder: Path, drawn: Sequence[Drawn]) -> None:
    lines = (
        {"image": item.image, "anchors": [{"class": name, "count": n} for name, n in item.scene.counts.items()]}
        for item in drawn
    )
    (folder / "labels.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def _json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content), encoding="utf-8")


FORMATS: dict[str, AnnotationFormat] = {
    "world": AnnotationFormat(_world, "scenes_jsonl", "scenes.jsonl"),
    "evaluation": AnnotationFormat(_evaluation, "scenes_jsonl", "scenes.jsonl", name="{scene}/{index:05d}.png"),
    "karpathy": AnnotationFormat(_karpathy, "karpathy_json", "dataset.json"),
    "vhm": AnnotationFormat(_vhm, "vhm_json", "list_pretrain.json", images="sample"),
    "rs5m": AnnotationFormat(_rs5m, "rs5m", "rs3_sample.csv", name="fmow_{scene}_{index}_0_msrgb.png"),
    "remoteclip": AnnotationFormat(_remoteclip, "remoteclip_csv", "captions.csv"),
    "geojson": AnnotationFormat(_labels(labels.geojson, ".geojson"), "vector_labels", "labels"),
    "dota": AnnotationFormat(_labels(labels.dota, ".txt"), "vector_labels", "labels"),
    "voc": AnnotationFormat(_labels(labels.voc, ".xml"), "vector_labels", "labels"),
    "coco": AnnotationFormat(_coco, "vector_labels", "annotations.json"),
    "mask": AnnotationFormat(_masks, "vector_labels", "labels", options=labels.MASK_OPTIONS),
    "jsonl": AnnotationFormat(_jsonl, "vector_labels", "labels.jsonl"),
}
