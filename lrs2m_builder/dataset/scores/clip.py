"""`lrs2m score`: how well a CLIP finds that a text fits its image, and where it ranks the text among others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from lrs2m_builder.build.commit import Say
from lrs2m_builder.checks.reading.nouns import read
from lrs2m_builder.checks.reading.place_phrases import WHERE, things_of
from lrs2m_builder.checks.reading.whereabouts import facts_of
from lrs2m_builder.dataset.foreign import check_pairs, plain_rows
from lrs2m_builder.dataset.scores.others import (
    OtherTexts,
    draw_others,
    image_name,
    rank_among,
    read_others,
    write_others,
)
from lrs2m_builder.dataset.scores.places import SCORES, ScoredFile, scored_files, the_home
from lrs2m_builder.dataset.scores.table import RowScores, Scoring, text_sha256
from lrs2m_builder.dataset.scores.write import ScoreShard, score_table
from lrs2m_builder.dataset.selection import Selection, read_batches
from lrs2m_builder.dataset.tables import record_files
from lrs2m_builder.errors import SampleError, UserError
from lrs2m_builder.images.files import image_ref
from lrs2m_builder.images.load import IMAGE_WORKERS, decode
from lrs2m_builder.tokenizer import count_tokens

if TYPE_CHECKING:
    from lrs2m_builder.clip.model import Loaded

TextKind = Literal["short", "long"]
OTHERS = "others.json"  # beside score.json
NUM_EXAMPLES = 5
_TURNS = (None, Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_180, Image.Transpose.ROTATE_270)
_KINDS = {"cosine": pa.float32(), "rank": pa.float32(), "cut": pa.bool_()}
_ROTATION_KINDS = {"rotation_mean": pa.float32(), "rotation_spread": pa.float32()}


@dataclass(frozen=True, slots=True)
class ClipOptions:
    """What is scored.

    Attributes:
        texts: which texts of a row.
        rank_among: number of texts of other images that each is ranked among.
        rotations: also score turned images, four times the work.
        image_dir: where images are that the rows only name.
    """

    name: str = "clip"
    texts: tuple[TextKind, ...] = ("long", "short")
    rank_among: int = 1000
    rotations: bool = False
    image_dir: Path | None = None


@dataclass(slots=True)
class ClipReport:
    """What was done.

    Attributes:
        rows: of the data set; `scored` of them now, `known` before.
        num_missing: rows whose image cannot be read, and `examples` of them with the reason.
    """

    name: str
    rows: int = 0
    known: int = 0
    scored: int = 0
    num_missing: int = 0
    examples: list[str] = field(default_factory=list)


def score_clip(
    path: Path, loaded: Loaded, options: ClipOptions, say: Say, *, notes: Mapping[str, Any], show_progress: bool = False
) -> ClipReport:
    """Score every row of a data set that has no score yet; killed at any moment, the same call continues.

    Args:
        notes: recorded in score.json.

    Raises:
        UserError: as `score_table`, or no image can be read.
    """
    check_pairs(record_files(path), ("caption_short", "caption_long"))
    kept = the_home(scored_files(path)) / SCORES / options.name / OTHERS
    others = read_others(kept) or {t: draw_others(path, f"caption_{t}", options.rank_among) for t in options.texts}
    report = ClipReport(options.name)
    scorer: _Scorer | None = None
    with score_table(path, _scoring(loaded, options, others, notes), say) as table:
        if not kept.exists():
            write_others(kept, others)
        bar = tqdm(unit="row", disable=not show_progress, leave=False)
        for file in table.files:
            with table.open_shard(file) as shard:
                report.rows += shard.num_rows
                report.known += shard.num_known
                if shard.unknown:
                    scorer = scorer or _Scorer(loaded, options, others)
                    for rows in _blocks(path, file, shard):
                        answers = scorer.score(rows, report)
                        if answers:
                            shard.keep(answers)
                        bar.update(len(rows))
                shard.finish()
        bar.close()
    if report.num_missing and not report.known + report.scored:
        raise UserError(f"{path}: no image can be read, such as {report.examples[0]}; give their folder with --images")
    return report


def _scoring(
    loaded: Loaded, options: ClipOptions, others: Mapping[str, OtherTexts], notes: Mapping[str, Any]
) -> Scoring:
    kinds = _KINDS | (_ROTATION_KINDS if options.rotations else {})
    settings = {
        "model": loaded.name.rstrip("/").rpartition("/")[2] if Path(loaded.name).exists() else loaded.name,
        "revision": loaded.revision,
        "context_length": loaded.context_length,
        "texts": sorted(options.texts),
        "rank_among": options.rank_among,
        "others": {text: each.fingerprint for text, each in sorted(others.items())},
        "rotations": options.rotations,
    }
    columns = {f"{text}_{name}": kind for text in sorted(options.texts) for name, kind in kinds.items()}
    return Scoring(options.name, "clip", settings, columns, notes=notes)


def _blocks(path: Path, file: ScoredFile, shard: ScoreShard) -> Iterator[list[dict[str, Any]]]:
    """The rows without a score, those of a place in the file together: an interrupted run makes the same batches."""
    selection = Selection(path, {file.path: np.array(shard.unknown)}, len(shard.unknown), shard.num_rows)
    for batch in read_batches(selection):
        yield plain_rows(batch, file.path)


class _Scorer:
    """Scores rows with a model; the features of the other texts are made once."""

    def __init__(self, loaded: Loaded, options: ClipOptions, others: Mapping[str, OtherTexts]) -> None:
        from lrs2m_builder.clip.encode import encode_images, encode_texts

        self._loaded, self._options, self._others = loaded, options, others
        self._encode_images, self._encode_texts = encode_images, encode_texts
        self._features = {text: self._encode(each.texts) for text, each in others.items()}

    def score(self, rows: Sequence[dict[str, Any]], report: ClipReport) -> list[RowScores]:
        """The scores of rows whose image can be read; the others are counted."""
        pictures = self._pictures(rows, report)
        rows = [row for row in rows if row["sample_id"] in pictures]
        if not rows:
            return []
        turns = _TURNS if self._options.rotations else _TURNS[:1]
        turned = [
            picture if turn is None else picture.transpose(turn)
            for turn in turns
            for picture in (pictures[row["sample_id"]] for row in rows)
        ]
        features = self._encode_images(self._loaded, turned, show_progress=False).astype(np.float64)
        images = features.reshape(len(turns), len(rows), -1)
        columns = [self._columns(text, rows, images) for text in self._options.texts]
        report.scored += len(rows)
        return [
            RowScores(
                row["sample_id"],
                self._judged("short", row),
                self._judged("long", row),
                {name: value for each in columns for name, value in each[number].items()},
            )
            for number, row in enumerate(rows)
        ]

    def _judged(self, text: TextKind, row: Mapping[str, Any]) -> str | None:
        return text_sha256(row[f"caption_{text}"]) if text in self._options.texts else None

    def _pictures(self, rows: Sequence[dict[str, Any]], report: ClipReport) -> dict[str, Image.Image]:
        def load(row: dict[str, Any]) -> Image.Image | str:
            try:
                return decode(image_ref(row["image"], self._options.image_dir))
            except SampleError as error:
                return f"{row['sample_id']} ({error})"

        with ThreadPoolExecutor(IMAGE_WORKERS) as pool:
            loaded = list(pool.map(load, rows))
        missing = [each for each in loaded if isinstance(each, str)]
        report.num_missing += len(missing)
        report.examples += missing[: NUM_EXAMPLES - len(report.examples)]
        found = zip(rows, loaded, strict=True)
        return {row["sample_id"]: each for row, each in found if isinstance(each, Image.Image)}

    def _columns(
        self, text: TextKind, rows: Sequence[dict[str, Any]], images: NDArray[np.float64]
    ) -> list[dict[str, Any]]:
        """The scores of one text of each row; of an empty one, none.

        Args:
            images: features by turn and row.
        """
        texts = [row[f"caption_{text}"] or "" for row in rows]
        features = self._encode(texts)
        cosines = (images * features).sum(-1)
        among = images[0] @ self._features[text].T
        found: list[dict[str, Any]] = []
        for number, (row, words) in enumerate(zip(rows, texts, strict=True)):
            if not words:
                found.append({})
                continue
            are_other = self._others[text].are_other(words, image_name(row))
            one = {
                "cosine": float(cosines[0, number]),
                "rank": rank_among(cosines[0, number], among[number], are_other),
                "cut": count_tokens(words) > self._loaded.context_length,
            }
            if self._options.rotations and not names_sides(words):
                turned = cosines[:, number]
                one |= {"rotation_mean": float(turned.mean()), "rotation_spread": float(np.ptp(turned))}
            found.append({f"{text}_{name}": value for name, value in one.items()})
        return found

    def _encode(self, texts: Sequence[str]) -> NDArray[np.float64]:
        return self._encode_texts(self._loaded, texts, show_progress=False).astype(np.float64)


def names_sides(text: str) -> bool:
    """Whether a text says what is left, north or above, and so is wrong of a turned image; rather too often."""
    known = read(text)
    return any(token in WHERE for token in known.tokens) or bool(facts_of(known.tokens, things_of(known)))
