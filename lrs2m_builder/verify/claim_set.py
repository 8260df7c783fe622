"""A file of labelled claims: a row per claim with its image, so that it measures any judge anywhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby, islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from lrs2m_builder.errors import SampleError, UserError, one_line
from lrs2m_builder.files import finished_file
from lrs2m_builder.images.load import load_stored
from lrs2m_builder.images.part import Part
from lrs2m_builder.schema import ImageBytes, Sample
from lrs2m_builder.sources import Source, read_samples
from lrs2m_builder.verify.labelled import LabelledClaim, LabelledImage, labelled_claims

SCHEMA = pa.schema(
    [
        ("sample_id", pa.string()),
        ("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
        ("kind", pa.string()),
        ("words", pa.string()),
        ("is_true", pa.bool_()),
        ("name", pa.string()),
        ("off", pa.int32()),
        ("prior", pa.float32()),
    ],
    metadata={
        "huggingface": '{"info": {"features": {"sample_id": {"dtype": "string", "_type": "Value"}, "image": '
        '{"_type": "Image"}, "kind": {"dtype": "string", "_type": "Value"}, "words": {"dtype": "string", "_type": '
        '"Value"}, "is_true": {"dtype": "bool", "_type": "Value"}, "name": {"dtype": "string", "_type": "Value"}, '
        '"off": {"dtype": "int32", "_type": "Value"}, "prior": {"dtype": "float32", "_type": "Value"}}}}'
    },
)
ROWS_PER_GROUP = 500


@dataclass(frozen=True, slots=True)
class ClaimSet:
    """What was written.

    Attributes:
        images: with a claim, and those of the source that could not be used, by reason.
        kinds: true and false claims of each kind.
    """

    path: str
    images: int
    unusable: dict[str, int]
    kinds: dict[str, tuple[int, int]]


def write_claims(source: Source, out: Path, *, per_kind: int, limit: int | None = None, seed: int = 0) -> ClaimSet:
    """Make true and false claims from the labels of a source, and write them with their images.

    Args:
        per_kind: at most so many claims of a kind, half of them true.
        limit: of the source, only the first so many samples.

    Raises:
        UserError: the source has no labels to make claims of, or the disk fails.
    """
    if out.exists():
        raise UserError(f"--out {out}: is there already; give a new name")
    samples: dict[str, Sample] = {}
    images: list[LabelledImage] = []
    unusable: dict[str, int] = {}
    for sample in islice(read_samples(source), limit):
        try:
            images.append(_labelled_image(sample, source.manifest.part))
            samples[sample.sample_id] = sample
        except SampleError as error:
            unusable[error.reason] = unusable.get(error.reason, 0) + 1
    claims = labelled_claims(images, per_kind, seed)
    if not claims:
        why = ", ".join(f"{count} {reason}" for reason, count in sorted(unusable.items()))
        raise UserError(
            f"{source.manifest.name}: no claims can be made of the labels of {len(images)} images"
            + (f" (unusable: {why})" if why else "; at least two images with different classes are needed")
        )
    with finished_file(out) as part, pq.ParquetWriter(part, SCHEMA, compression="zstd") as writer:
        for rows in _groups(claims, samples, source.manifest.part):
            writer.write_table(pa.Table.from_pylist(rows, schema=SCHEMA))
    kinds = {kind: [c.is_true for c in claims if c.kind == kind] for kind in dict.fromkeys(c.kind for c in claims)}
    return ClaimSet(
        str(out),
        len({claim.sample_id for claim in claims}),
        unusable,
        {kind: (sum(truth), len(truth) - sum(truth)) for kind, truth in sorted(kinds.items())},
    )


def _labelled_image(sample: Sample, part: Part) -> LabelledImage:
    """What the labels say of an image.

    Raises:
        SampleError: there are none, or it cannot be read.
    """
    if sample.problem is not None:
        raise SampleError(*sample.problem)
    if not sample.anchors or sample.image_path is None:
        raise SampleError(*(sample.no_anchors or ("no_anchors", "the source has no labels of it")))
    size = None
    if any(anchor.boxes for anchor in sample.anchors):
        stored = load_stored(sample.image_path, part, verify=False)
        size = stored.width, stored.height
    return LabelledImage(sample.sample_id, sample.anchors, size, sample.label)


def _groups(claims: Sequence[LabelledClaim], samples: dict[str, Sample], part: Part) -> Iterator[list[dict[str, Any]]]:
    """Rows in groups that a reader holds at once; the image of neighbouring rows is read once."""
    rows: list[dict[str, Any]] = []
    for sample_id, of_image in groupby(claims, key=lambda claim: claim.sample_id):
        path = samples[sample_id].image_path
        assert path is not None
        try:
            stored = load_stored(path, part, verify=True)
        except SampleError as error:
            raise UserError(f"{path}: {error.detail}; mend the image or leave it out of the labels") from error
        image = {"bytes": stored.data, "path": samples[sample_id].image_name}
        rows += [{**asdict(claim), "image": image} for claim in of_image]
        if len(rows) >= ROWS_PER_GROUP:
            yield rows
            rows = []
    if rows:
        yield rows


def read_claims(path: Path) -> Iterator[tuple[ImageBytes, list[LabelledClaim]]]:
    """Yield each image of a file of labelled claims with its claims.

    Raises:
        UserError: it is no such file.
    """
    try:
        with pq.ParquetFile(path) as file:
            if missing := [name for name in SCHEMA.names if name not in file.schema_arrow.names]:
                raise UserError(f"{path}: not a file of labelled claims (no column {missing[0]!r}); see lrs2m claims")
            rows = (row for batch in file.iter_batches(100, columns=SCHEMA.names) for row in batch.to_pylist())
            for sample_id, of_image in groupby(rows, key=lambda row: row["sample_id"]):
                entries = list(of_image)
                image = ImageBytes(entries[0]["image"]["bytes"], f"the image of {sample_id}")
                fields = LabelledClaim.__dataclass_fields__
                yield image, [LabelledClaim(**{name: row[name] for name in fields}) for row in entries]
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"{path}: cannot be read as labelled claims ({one_line(error)}); see lrs2m claims") from error
