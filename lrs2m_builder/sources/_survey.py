"""`lrs2m sources`: the list of subsets, and a full check of one subset."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from lrs2m_builder.declared.manifest import Manifest
from lrs2m_builder.errors import SampleError
from lrs2m_builder.images.files import hash_image
from lrs2m_builder.images.load import IMAGE_WORKERS, decode
from lrs2m_builder.images.part import Part
from lrs2m_builder.schema import ImageRef
from lrs2m_builder.sources import Joined, Mentions, join_key, make_sample, named, open_source, read_samples

NUM_EXAMPLES = 5


@dataclass(frozen=True, slots=True)
class Survey:
    """The content of a subset's data folder.

    Attributes:
        captions, distinct_captions: texts that are not blank, and those distinct per image.
        samples: samples that a build would read.
        found_by_another_name: images whose file name differs from the source's name, with examples.
        identical_images: images whose bytes equal an earlier one's, with examples.
        join: if a second file gives the short texts: counts of images in both files and in only one.
        problems: unusable images by reason, with examples.
    """

    subset: str
    annotations: str
    layout: str
    images: int
    images_found: int
    captions: int
    distinct_captions: int
    samples: int
    splits: dict[str, int]
    found_by_another_name: dict[str, Any]
    identical_images: dict[str, Any]
    join: dict[str, Any] | None
    problems: dict[str, dict[str, Any]]

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)


def survey(manifest: Manifest, data_dir: Path, *, show_progress: bool = False) -> Survey:
    """Check a whole subset: read its annotations and decode every image once.

    Raises:
        UserError: a file is missing or broken, or not one image was found.
    """
    source = open_source(manifest, data_dir)
    problems: dict[str, list[str]] = {}
    paths: dict[str, ImageRef] = {}
    splits: Counter[str] = Counter()
    num_captions = num_distinct = 0
    unmatched: list[str] = []
    renamed: list[str] = []
    matched: set[str] = set()
    mentions = Mentions()
    for row in source.rows():
        splits[row.split or "(none)"] += 1
        texts = [*row.captions, *filter(None, (row.caption_long,))]
        num_captions, num_distinct = num_captions + len(texts), num_distinct + len(set(texts))
        if source.joined is not None and row.captions:
            matched.add(join_key(row.image_name))
        elif source.joined is not None:
            unmatched.append(row.image_name)
        times = mentions.count(row.image_name)
        sample = make_sample(source, row, tuple(dict.fromkeys(row.captions)), 0, times)
        if sample.problem is not None:
            problems.setdefault(sample.problem[0], []).append(sample.problem[1])
        elif not texts and not sample.anchors:
            reason, detail = sample.no_anchors or ("no_captions", f"{row.image_name}: no text and no labels")
            problems.setdefault(reason, []).append(detail)
        if sample.image_path is not None and times == 1:
            paths[row.image_name] = sample.image_path
            if row.image is None and not source.images.find_as_written(name := row.image_file or row.image_name):
                renamed.append(f"{name} is {sample.image_path}")
    first_with: dict[str, str] = {}
    identical: list[str] = []
    for name, result in _read_images(paths, manifest, show_progress=show_progress):
        if isinstance(result, SampleError):
            problems.setdefault(result.reason, []).append(f"{name}: {result.detail}")
        elif (first := first_with.setdefault(result, name)) != name:
            identical.append(f"{name} is {first}")
    return Survey(
        subset=manifest.name,
        annotations=named(source.annotations),
        layout=source.images.layout,
        images=splits.total(),
        images_found=len(paths),
        captions=num_captions,
        distinct_captions=num_distinct,
        samples=sum(1 for _ in read_samples(source)),
        splits=dict(splits),
        found_by_another_name=_counted(renamed),
        identical_images=_counted(identical),
        join=_join_report(source.joined, matched, unmatched) if source.joined else None,
        problems={reason: _counted(names) for reason, names in sorted(problems.items())},
    )


def _join_report(joined: Joined, matched: set[str], unmatched: list[str]) -> dict[str, Any]:
    only_there = [key for key in joined.captions if key not in matched]
    return {
        "annotations": named(joined.annotations),
        "matched": len(matched),
        "only_in_first": _counted(unmatched),
        "only_in_second": _counted(only_there),
    }


def _counted(names: list[str]) -> dict[str, Any]:
    return {"count": len(names), "examples": names[:NUM_EXAMPLES]}


def _read_images(
    paths: dict[str, ImageRef], manifest: Manifest, *, show_progress: bool
) -> Iterator[tuple[str, str | SampleError]]:
    """Decode every image; yield its name with the hash of its file, or with its error."""

    def read(item: tuple[str, ImageRef]) -> tuple[str, str | SampleError]:
        name, path = item
        try:
            decode(path, lambda width, height: (32, 32), manifest.part)
            return name, _sha256(path, manifest.part)
        except SampleError as error:
            return name, error

    with ThreadPoolExecutor(IMAGE_WORKERS) as pool:
        results = pool.map(read, paths.items())
        yield from tqdm(results, total=len(paths), desc="images", unit="image", disable=not show_progress)


def _sha256(ref: ImageRef, part: Part) -> str:
    """The hash of an image's bytes; of a folder with one file per band, of the bands that form the image."""
    hashes = [hash_image(file) for file in part.files(ref)]
    return hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()


def describe(manifest: Manifest) -> list[str]:
    """A subset's description for the user, as lines."""
    lines = [
        f"{manifest.name}: {manifest.title}",
        f"  viewpoint  {manifest.viewpoint}",
        f"  licence    {manifest.license}",
        f"  homepage   {manifest.homepage}",
        f"  cite       {manifest.citation}",
        f"  get        {manifest.get}",
    ]
    if manifest.models.mllm or manifest.models.llm:
        models = {"mllm": manifest.models.mllm, "llm": manifest.models.llm}
        lines.append(f"  models     {', '.join(f'{role}: {name}' for role, name in models.items() if name)}")
    if manifest.paper:
        lines.append(
            f"  paper      {manifest.paper.pairs:,} pairs, mean tokens {manifest.paper.mean_tokens_long:g} long, "
            f"{manifest.paper.mean_tokens_short:g} short"
        )
    return lines
