"""The first answer of the demo that a check refused, with the reason and the answer that was accepted after it."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from lrs2m_builder.build.shards import iter_rows
from lrs2m_builder.engines._base import Engine
from lrs2m_builder.engines._pool import SharedEngine
from lrs2m_builder.errors import UserError
from lrs2m_builder.exchange import Completion, Request, Role
from lrs2m_builder.files import read_json, write_json

KEPT = "asked_again.json"  # below the demo's folder: a demo that is resumed asks for nothing again


@dataclass(frozen=True, slots=True)
class AskedAgain:
    """A sample that was asked for twice.

    Attributes:
        image: base64 of the image file.
        first: the answer that was refused.
        told: what the second request says beyond the first one: the reason.
        second: the text of the row.
    """

    recipe: str
    scene: str
    image: str
    first: str
    told: str
    second: str


class ListeningEngine(SharedEngine):
    """A shared engine that remembers the first answers of a build, and what the second requests say more.

    Attributes:
        found: the first row with a second answer of the builds so far.
    """

    def __init__(self, module: Any) -> None:
        super().__init__(module)
        self.found: AskedAgain | None = None
        self._first: dict[tuple[str, int], tuple[Request, str]] = {}
        self._told: dict[tuple[str, int], str] = {}

    def start(
        self, model: str, role: Role, options: Mapping[str, Any], samplings: Sequence[Mapping[str, Any]]
    ) -> Engine:
        """The engine, listened to."""
        is_new = self._engine is None
        engine = super().start(model, role, options, samplings)
        if is_new:
            ask = engine.generate

            async def generate(request: Request, image: Image.Image | None) -> Completion:
                key = request.sample_id, request.step
                if request.attempt == 2 and key in self._first:
                    self._told[key] = _added(self._first[key][0].parts[-1], request.parts[-1])
                completion = await ask(request, image)
                if request.attempt == 1:
                    self._first[key] = request, completion.text
                return completion

            engine.generate = generate  # type: ignore[method-assign]
        return engine

    def listened_to(self, build: Path, recipe: str) -> None:
        """A build is done: look for a row with a second answer, and forget its answers.

        Raises:
            UserError: a shard cannot be read.
        """
        self.found = self.found or next(self._asked_again(build, recipe), None)
        self._first, self._told = {}, {}

    def _asked_again(self, build: Path, recipe: str) -> Iterator[AskedAgain]:
        columns = ["sample_id", "image", "caption_short", "caption_long", "attempts", "prompts"]
        for path in sorted((build / "data").rglob("*.parquet")):
            for row in iter_rows(path, columns):
                for step in range(len(row["prompts"])):
                    if told := self._told.get((row["sample_id"], step)):
                        column = "caption_long" if step == 0 and recipe != "long_to_short" else "caption_short"
                        image = base64.b64encode(row["image"]["bytes"]).decode()
                        first = self._first[row["sample_id"], step][1]
                        yield AskedAgain(recipe, Path(row["sample_id"]).stem, image, first, told, row[column])


def _added(first: str, second: str) -> str:
    """What the second of two texts says beyond the first one, between their common beginning and end."""
    start = _num_common(first, second)
    end = _num_common(first[start:][::-1], second[start:][::-1])
    return second[start : len(second) - end].strip()


def _num_common(first: str, second: str) -> int:
    pairs = zip(first, second, strict=False)
    return next((at for at, (one, other) in enumerate(pairs) if one != other), min(len(first), len(second)))


def kept_again(out_dir: Path, found: AskedAgain | None) -> AskedAgain | None:
    """What was found, kept below the demo's folder; or what an earlier run of the demo found.

    Raises:
        UserError: the disk fails, or the kept file cannot be read.
    """
    kept = out_dir / KEPT
    if found is not None:
        write_json(kept, asdict(found))
        return found
    try:
        return AskedAgain(**read_json(kept)) if kept.is_file() else None
    except TypeError as error:
        raise UserError(f"{kept}: is of another version; delete it and run the same command again") from error
