"""The commands that are killed: what they read, what they are told, and what the scripted engine answers."""

from __future__ import annotations

import contextlib
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

from lrs2m_builder.errors import UserError
from lrs2m_builder.exchange import Completion, Request
from tests.fake_engine import FakeModule, Script, good_text

ONCE = ("--retry-rejected", "--restart")  # flags that do the work once more where it is done
REFUSAL = "I'm sorry, but I cannot help with that."
SHORT = "Planes and a ship lie beside green fields."
LONG = "Three planes and one ship can be seen. "


@dataclass(frozen=True, slots=True)
class Scenario:
    """A command and what it needs.

    Attributes:
        script: the engine's answers; `answer` by default.
        command: the words after `lrs2m`; "{root}" is the folder that is watched, "{inputs}" what `inputs` made.
        inputs: makes what the command reads.
        before: a command that ran well before, with `before_script` behind its engine.
        between: changes the inputs after it.
        again: what is run after a kill, where it is not the same command.
        settings: values of the package for the time of a run, such as {"build.workers.MIN_SHARDS": 1}.
        alone: kill the process alone; its workers must leave by themselves.
        act: what is called with the words in the place of the command line.
        modes: how it is disturbed.
    """

    name: str
    command: tuple[str, ...]
    inputs: Callable[[Path], Any]
    script: Script | None = None
    before: tuple[str, ...] = ()
    before_script: Script | None = None
    between: Callable[[Path], Any] | None = None
    again: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    alone: bool = False
    act: Callable[[list[str]], None] | None = None
    modes: tuple[str, ...] = ("kill", "torn", "twice", "power", "full", "broken")
    slow: bool = False

    @property
    def plain(self) -> tuple[str, ...]:
        """The command without the flags that would do finished work once more."""
        return tuple(word for word in self.command if word not in ONCE)

    @contextlib.contextmanager
    def patched(self, script: Script | None, log: Path) -> Iterator[None]:
        """The scripted engine in the place of the real one, and this scenario's settings."""
        values = {"engines.engine_module": lambda name: FakeModule(script or answer, log), **self.settings}
        with contextlib.ExitStack() as stack:
            for name, value in values.items():
                stack.enter_context(mock.patch(f"lrs2m_builder.{name}", value))
            yield

    def call(self, words: list[str]) -> int:
        """Run the command line, or `act`; the exit code."""
        from lrs2m_builder import cli

        if self.act:
            try:
                self.act(words)
            except UserError as error:
                print(f"error: {error}", file=sys.stderr)
                return 2
            return 0
        sys.argv = ["lrs2m", *words]
        try:
            cli.main()
        except SystemExit as stopped:
            return stopped.code if isinstance(stopped.code, int) else int(stopped.code is not None)
        return 0


def chance(request: Request) -> int:
    """A number below 12 that belongs to the sample."""
    return zlib.crc32(request.sample_id.encode()) % 12


def good(request: Request) -> Completion:
    """A text that every step takes."""
    text = SHORT if request.role == "llm" else LONG + good_text(request.seed)
    return Completion(text, "stop", num_prompt_tokens=10, num_tokens=20)


def answer(request: Request) -> Completion:
    """Refuses a third of the samples for good, a fifth of the rest once; takes most."""
    refused = chance(request) % 3 == 0 or (request.attempt == 1 and request.seed % 5 == 0)
    return Completion(REFUSAL, "stop", num_prompt_tokens=10, num_tokens=5) if refused else good(request)


def half_good(request: Request) -> Completion:
    """Still refuses half of what `answer` refused for good."""
    refused = chance(request) % 6 == 0 or (request.attempt % 2 and request.seed % 5 == 0)
    return Completion(REFUSAL, "stop", num_prompt_tokens=10, num_tokens=5) if refused else good(request)


def build(recipe: str, source: str, *more: str, shard_size: int = 4) -> tuple[str, ...]:
    """The words of a build of the inputs."""
    words = ["build", "--recipe", recipe, "--source", source, "--data-dir", "{inputs}", "--out", "{root}/out"]
    words += ["--engine", "fake", "--engine-option", "max_in_flight=2", "--max-attempts", "2"]
    return (*words, "--shard-size", str(shard_size), "--max-reject-rate", "1", *more)


def toy(folder: Path) -> None:
    """Twelve small images with a caption each; one is missing."""
    from tests.toy import make_source

    make_source(folder, 12, missing=[5])


def published_long(folder: Path) -> None:
    """Long texts of VHM."""
    from tests.test_long_to_short import entry, write_vhm

    write_vhm(folder, [entry(f"{n}.jpg", "LoveDA") for n in range(12)])


def labelled(folder: Path) -> None:
    """Images with vector labels."""
    from tests.test_vector_anchored import labelled as make

    make(folder, 10)


def both_texts(folder: Path) -> None:
    """Images with a long and a short published text; some have only one."""
    from tests.test_merge import millionaid

    millionaid(folder, 10, only_long=3)


def broken_images(folder: Path) -> None:
    """The same, with three images that cannot be read."""
    both_texts(folder)
    for number in (1, 4, 7):
        path = next(folder.rglob(f"P{number:07}.jpg"))
        path.rename(path.with_suffix(".kept"))
        path.write_bytes(b"no image")


def mend_images(folder: Path) -> None:
    """Put the broken images right."""
    for path in folder.rglob("*.kept"):
        path.rename(path.with_suffix(".jpg"))


def mend_one_image(folder: Path) -> None:
    """Put one of them right."""
    path = min(folder.rglob("*.kept"))
    path.rename(path.with_suffix(".jpg"))


def finished(folder: Path) -> None:
    """A finished data set of two shards."""
    from tests.view_data import make_data

    make_data(folder / "data_set", 12, 2)


def placed(folder: Path) -> None:
    """A finished data set with places on Earth."""
    from tests.place_data import place_row, square, write_places

    write_places(folder / "data_set", [place_row(number, square(7 + number / 100, 50)) for number in range(12)])


def pairs(folder: Path) -> None:
    """Rows to train on."""
    from tests.clip_toy import make_data

    make_data(folder / "pairs", 32)


def review(words: list[str]) -> None:
    """Accept the samples that are not reviewed yet, as the page of `lrs2m view` does."""
    from lrs2m_builder.dataset.reviews import Reviews

    reviews = Reviews(Path(words[0]) / "reviews.jsonl")
    for number in range(6):
        if not reviews.get(f"tiles/{number}.png"):
            reviews.save(f"tiles/{number}.png", "flag" if number % 3 else "accept", f"number {number}")


TOY = ("short_to_long", "{inputs}/toy.yaml", "--model", "toy-model")
ANCHORED = ("vector_anchored", "openlandmap")
MERGE = ("merge", "millionaid")
TRAIN = ("train", "{inputs}/pairs", "--out", "{root}/run", "--config", "tiny", "--set", "max_steps=3")


def retries(name: str, inputs: Callable[[Path], Any], words: tuple[str, ...]) -> tuple[Scenario, ...]:
    """A retry whose rejections are all accepted or some, killed and taken up with the flag and without it."""
    first = build(*words)
    made = []
    for kind, script in (("all", good), ("some", half_good)):
        command = (*first, "--retry-rejected")
        made.append(Scenario(f"{name}, {kind} accepted", command, inputs, script, first, answer))
        made.append(
            Scenario(f"{name}, {kind} accepted, then no flag", command, inputs, script, first, answer, again=first)
        )
    return tuple(made)


def merge_retries() -> tuple[Scenario, ...]:
    """A retry of a merge whose broken images were put right, all or one."""
    first, made = build(*MERGE, shard_size=5), []
    for kind, between in (("all", mend_images), ("one", mend_one_image)):
        command = (*first, "--retry-rejected")
        made.append(Scenario(f"retry merge, {kind} mended", command, broken_images, before=first, between=between))
    return tuple(made)


def exports() -> tuple[Scenario, ...]:
    """Each format of `lrs2m export`."""
    from lrs2m_builder.dataset.export import formats

    data = "{inputs}/data_set"
    return tuple(
        Scenario(
            f"export {to}",
            ("export", data, "{root}/exported", "--to", to),
            placed if to in {"geoparquet", "stac"} else finished,
        )
        for to in formats()
    )


def scenarios() -> dict[str, Scenario]:
    """All scenarios by name."""
    found = (
        Scenario("build short_to_long", build(*TOY), toy),
        Scenario("build long_to_short", build("long_to_short", "loveda", "--model", "toy-model"), published_long),
        Scenario("build vector_anchored", build(*ANCHORED), labelled),
        Scenario("build vector_anchored, one model", build(*ANCHORED, "--model", "toy-model"), labelled),
        Scenario("build image_to_text", build("image_to_text", "{inputs}/toy.yaml", "--model", "toy-model"), toy),
        Scenario("build merge", build(*MERGE, shard_size=5), both_texts),
        Scenario("build merge, workers", build(*MERGE, shard_size=3), both_texts, slow=True),
        Scenario("build merge, workers, one killed", build(*MERGE, shard_size=3), both_texts, alone=True, slow=True),
        *retries("retry short_to_long", toy, TOY),
        *retries("retry vector_anchored", labelled, ANCHORED),
        *merge_retries(),
        Scenario("restart", (*build(*TOY), "--restart"), toy, before=build(*TOY)),
        Scenario("restart, other settings", (*build(*TOY, "--seed", "7"), "--restart"), toy, before=build(*TOY)),
        *exports(),
        Scenario(
            "publish --dry-run",
            ("publish", "{inputs}/data_set", "--repo-id", "a/b", "--dry-run", "--dest", "{root}/tree"),
            finished,
        ),
        Scenario("audit", ("audit", "{inputs}/data_set", "--out", "{root}/audit"), finished, slow=True),
        Scenario("sample", ("sample", "--out", "{root}/sample", "--scenes", "2"), lambda folder: folder.mkdir()),
        Scenario("reviews", ("{root}",), lambda folder: folder.mkdir(), act=review),
        Scenario("train", (*TRAIN, "--set", "checkpoint_every=1"), pairs, slow=True),
    )
    return {scenario.name: scenario for scenario in found}
