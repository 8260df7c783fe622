"""Recipes load with prompts that fit them, and the next move of a sample follows from its answers alone."""

from __future__ import annotations

import textwrap
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lrs2m_builder.build.plan import BuildPlan
from lrs2m_builder.build.requests import request_seed
from lrs2m_builder.build.stages import next_move
from lrs2m_builder.declared.manifest import Manifest
from lrs2m_builder.declared.prompt import load_prompt
from lrs2m_builder.declared.recipe import Recipe, load_recipe
from lrs2m_builder.declared.shipped import shipped_names
from lrs2m_builder.errors import UserError
from lrs2m_builder.exchange import Attempt, Completion, Request
from lrs2m_builder.schema import Anchor, Record, Rejection, Sample

MANIFEST = Manifest(
    name="toy",
    title="Toy",
    format="karpathy_json",
    files={"annotations": ["dataset.json"], "images": ["imgs/{filename}"]},  # type: ignore[arg-type]
    license="CC0-1.0",
    homepage="none",
    citation="none",
    get="make it",
    texts_from="toy captions",
)
RECIPE = """
from lrs2m_builder.checks import CUT_OFF, REFUSAL, Check, word_range
from lrs2m_builder.declared.recipe import Recipe, Step

RED = Check("red", lambda answer: "It is red." if "red" in answer.words else None, level="warn")
RECIPE = Recipe(
    name="toy", version=3, reads=("captions",), given=("caption_short",),
    steps=(
        Step(
            prompt="toy.v1", role="{role}", writes="caption_long",
            variables=lambda sample, manifest: {{"hints": sample.captions}},
            checks=(REFUSAL, CUT_OFF, RED, word_range(3, 9)),
        ),
    ),
)
"""
PROMPT = "Describe it.\n{{ image }}\nHint: {{ hints[0] }}{% if problem %}\nMend this: {{ problem }}{% endif %}\n"
GOOD = "A red roof beside two trees."
REFUSED = "I'm sorry, but I cannot help with that."


def make_sample(number: int = 1, **changes: Any) -> Sample:
    values: dict[str, Any] = {
        "image_path": Path(f"{number}.tif"),
        "captions": (f"hint {number} of a harbor", f"second hint {number}"),
        "caption_long": f"A long text {number} about a harbor.",
        "anchors": (Anchor(f"ship{number}", number),),
    }
    return Sample(f"toy/{number}.tif#0", "toy", f"{number}.tif", **(values | changes))


def write_recipe(folder: Path, prompt: str = PROMPT, role: str = "mllm", recipe: str = RECIPE) -> str:
    (folder / "toy.v1.jinja").write_text(prompt)
    (folder / "toy.py").write_text(textwrap.dedent(recipe.format(role=role)))
    return str(folder / "toy.py")


def make_plan(recipe: Recipe, max_attempts: int = 3, seed: int = 0) -> BuildPlan:
    return BuildPlan(recipe, MANIFEST, (("toy-model", "abc123"),) * len(recipe.prompts), "fake", max_attempts, seed)


@pytest.fixture
def plan(tmp_path: Path) -> BuildPlan:
    return make_plan(load_recipe(write_recipe(tmp_path)))


def answer(request: Any, text: str, finish_reason: str = "stop") -> Attempt:
    assert isinstance(request, Request)
    return Attempt.answered(request, Completion(text, finish_reason))


def ask_until_the_end(plan: BuildPlan, sample: Sample, texts: list[str], prior: tuple[Attempt, ...] = ()) -> Any:
    """Answer with the texts in turn; returns the last move and all attempts."""
    attempts = list(prior)
    move = next_move(plan, sample, attempts, len(prior))
    for text in texts:
        attempts.append(answer(move, text))
        move = next_move(plan, sample, attempts, len(prior))
    return move, attempts


def render(loaded: Recipe, sample: Sample, problem: str = "") -> list[tuple[str, ...]]:
    """The parts of every step's prompt."""
    written = {"caption_short": sample.captions[0], "caption_long": sample.caption_long, "problem": problem}
    steps = zip(loaded.steps, loaded.prompts, strict=True)
    return [prompt.render({**written, **step.variables(sample, MANIFEST)}) for step, prompt in steps]


every_shipped_recipe = pytest.mark.parametrize("name", shipped_names("recipes"))


@every_shipped_recipe
def test_a_shipped_recipe_loads_under_its_own_name(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.name == name
    columns = [*recipe.given, *(step.writes for step in recipe.steps)]
    assert sorted(columns) == ["caption_long", "caption_short"], "each text is given or written, once"


@every_shipped_recipe
def test_the_prompts_of_a_shipped_recipe_hold_what_it_reads(name: str) -> None:
    loaded, sample = load_recipe(name), make_sample()
    if not loaded.steps:
        pytest.skip("a recipe that asks no model has no prompt")
    known = {"captions": sample.captions[0], "caption_long": sample.caption_long, "anchors": sample.anchors[0].name}
    first, *later = ["".join(parts) for parts in render(loaded, sample)]
    assert all(known[need] in first for need in loaded.reads)
    assert all(any(text in prompt for text in known.values()) for prompt in later)


@every_shipped_recipe
def test_a_shipped_prompt_splits_at_the_image(name: str) -> None:
    loaded = load_recipe(name)
    num_parts = [2 if step.role == "mllm" else 1 for step in loaded.steps]
    assert [len(parts) for parts in render(loaded, make_sample())] == num_parts


@every_shipped_recipe
def test_a_shipped_prompt_begins_alike_for_every_sample(name: str) -> None:
    loaded = load_recipe(name)
    variants = render(loaded, make_sample(1)), render(loaded, make_sample(2)), render(loaded, make_sample(1), "Empty.")
    for first, second, again in zip(*variants, strict=True):
        beginning = first[0] if len(first) == 2 else first[0][:100]
        assert len(beginning) >= 100 and first != second
        assert second[0].startswith(beginning) and again[0].startswith(beginning)


@every_shipped_recipe
def test_a_shipped_prompt_states_the_problem_when_it_asks_again(name: str) -> None:
    loaded, problem = load_recipe(name), "The answer had 7 words. Write between 40 and 180 words."
    assert all(problem in parts[-1] for parts in render(loaded, make_sample(), problem))


def test_an_unknown_recipe_lists_the_shipped_ones() -> None:
    with pytest.raises(UserError, match=r"no recipe 'short_to_lng'; did you mean 'short_to_long'\? known: "):
        load_recipe("short_to_lng")


def test_a_recipe_by_path_finds_the_prompt_beside_it(tmp_path: Path) -> None:
    assert load_recipe(write_recipe(tmp_path, "Mine {{ image }}")).prompts[0].render({}) == ("Mine ", "")


@pytest.mark.parametrize(
    ("role", "prompt", "message"),
    [("mllm", "No picture. {{ hints }}", "has no {{ image }}"), ("llm", PROMPT, "has {{ image }}, but")],
)
def test_a_role_and_a_prompt_that_do_not_fit_are_refused(tmp_path: Path, role: str, prompt: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        load_recipe(write_recipe(tmp_path, prompt, role))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "code", ["1 / 0", "import no_such_package", "def broken(:", "RECIPE = {}", "x = 1", 'raise ValueError("bad")']
)
def test_a_recipe_file_that_fails_is_one_line_with_its_path(tmp_path: Path, code: str) -> None:
    path = tmp_path / "mine.py"
    path.write_text(code)
    with pytest.raises(UserError) as caught:
        load_recipe(str(path))
    assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)


def test_a_recipe_whose_prompt_is_missing_is_refused(tmp_path: Path) -> None:
    path = write_recipe(tmp_path)
    (tmp_path / "toy.v1.jinja").unlink()
    with pytest.raises(UserError, match=r"no prompt 'toy\.v1'"):
        load_recipe(path)


@pytest.mark.parametrize("source", ["{{ image }} {{ wether }}", "{{ image }}{% for h in wether %}{% endfor %}"])
def test_an_unknown_variable_is_named(tmp_path: Path, source: str) -> None:
    with pytest.raises(UserError, match=r"prompt toy\.v1: 'wether' is undefined"):
        next_move(make_plan(load_recipe(write_recipe(tmp_path, source))), make_sample(), [])


@pytest.mark.parametrize("source", ["{% if %}", "{{ hints", "{{ image }} and {{ image }}"])
def test_a_prompt_that_is_no_template_is_refused_when_loaded(tmp_path: Path, source: str) -> None:
    with pytest.raises(UserError, match=r"toy\.v1\.jinja: "):
        load_recipe(write_recipe(tmp_path, source))


def test_an_image_marked_twice_is_refused_however_it_is_spelled(tmp_path: Path) -> None:
    with pytest.raises(UserError):
        load_recipe(write_recipe(tmp_path, "{{image}} and {{image}}"))


@pytest.mark.parametrize("source", [b"{{ image }} {{ hints + 1 }}", b"{{ image }} caf\xe9"])
def test_a_prompt_that_fails_in_another_way_is_the_users_error(tmp_path: Path, source: bytes) -> None:
    path = write_recipe(tmp_path)
    (tmp_path / "toy.v1.jinja").write_bytes(source)
    with pytest.raises(UserError):
        next_move(make_plan(load_recipe(path)), make_sample(), [])


def test_a_prompt_keeps_the_hash_of_its_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.jinja"
    hashes = []
    for source in ("one {{ image }}", "two {{ image }}", "one {{ image }}"):
        path.write_text(source)
        hashes.append(load_prompt(str(path)).sha256)
    assert hashes[0] == hashes[2] != hashes[1]


def test_the_first_move_asks_with_the_hint(plan: BuildPlan) -> None:
    request = next_move(plan, make_sample(), [])
    assert isinstance(request, Request)
    assert request.parts == ("Describe it.", "Hint: hint 1 of a harbor")
    assert (request.request_id, request.role) == ("toy/1.tif#0:0:1", "mllm")


def test_a_good_answer_is_accepted_and_keeps_its_warnings(plan: BuildPlan) -> None:
    record, attempts = ask_until_the_end(plan, make_sample(), [f"  {GOOD}\n"])
    assert isinstance(record, Record)
    assert (record.caption_short, record.caption_long) == ("hint 1 of a harbor", GOOD)
    assert (record.short_source, record.long_source) == ("toy captions", "toy-model")
    assert (record.warnings, record.attempts, record.seed) == (("red: It is red.",), 1, attempts[0].seed)


def test_a_refused_answer_is_asked_again_with_another_seed_and_the_reason(plan: BuildPlan) -> None:
    first = next_move(plan, make_sample(), [])
    second = next_move(plan, make_sample(), [answer(first, REFUSED)])
    assert isinstance(first, Request) and isinstance(second, Request)
    assert (second.attempt, second.parts[0]) == (2, first.parts[0])
    assert second.seed != first.seed
    assert "Mend this: The answer refused" in second.parts[1]


def temperatures(plan: BuildPlan, texts: list[str]) -> list[object]:
    """Of the requests that follow each of the texts."""
    moves = [ask_until_the_end(plan, make_sample(), texts[:number])[0] for number in range(len(texts) + 1)]
    return [move.sampling.get("temperature") for move in moves if isinstance(move, Request)]


def test_an_answer_that_comes_back_is_asked_for_at_a_higher_temperature(plan: BuildPlan) -> None:
    warm = replace(plan, recipe=plan.recipe.with_settings({}, {"temperature": 0.3}), max_attempts=9)
    assert temperatures(warm, [REFUSED, "Sorry, no.", REFUSED, "No."]) == [0.3, 0.3, 0.3, 0.5, 0.5]
    assert temperatures(warm, [REFUSED, f" {REFUSED}", *[REFUSED] * 5])[1:] == [0.3, 0.5, 0.7, 0.9, 1.0, 1.0, 1.0]


def test_a_temperature_above_one_or_none_is_left_as_it_is(plan: BuildPlan) -> None:
    hot = replace(plan, recipe=plan.recipe.with_settings({}, {"temperature": 1.4}))
    assert temperatures(hot, [REFUSED, REFUSED]) == [1.4] * 3
    assert temperatures(plan, [REFUSED, REFUSED]) == [plan.recipe.steps[0].sampling.get("temperature")] * 3


def test_an_answer_after_a_refused_one_can_still_be_accepted(plan: BuildPlan) -> None:
    record, _ = ask_until_the_end(plan, make_sample(), [REFUSED, "too short", GOOD])
    assert isinstance(record, Record) and (record.attempts, record.caption_long) == (3, GOOD)


def test_the_last_attempt_rejects_and_every_attempt_is_kept(plan: BuildPlan) -> None:
    rejection, attempts = ask_until_the_end(plan, make_sample(), [REFUSED, "too short", REFUSED])
    assert isinstance(rejection, Rejection)
    assert (rejection.reason, rejection.attempts) == ("refusal", tuple(attempts))
    assert [attempt.attempt for attempt in attempts] == [1, 2, 3]
    assert [problem.split(":")[0] for problem in rejection.problems] == ["refusal", "word_range", "refusal"]


def test_the_same_attempts_give_the_same_move(plan: BuildPlan) -> None:
    attempts = ask_until_the_end(plan, make_sample(), [REFUSED, "too short", GOOD])[1]
    for length in range(4):
        replay = [replace(attempt) for attempt in attempts[:length]]
        assert next_move(plan, make_sample(), replay) == next_move(plan, make_sample(), attempts[:length])


def test_a_retry_asks_again_with_new_seeds_and_counts_from_zero(plan: BuildPlan) -> None:
    _, spent = ask_until_the_end(plan, make_sample(), [REFUSED] * 3)
    move, attempts = ask_until_the_end(plan, make_sample(), [REFUSED, REFUSED], tuple(spent))
    assert isinstance(move, Request) and move.attempt == 6
    assert len({attempt.seed for attempt in attempts} | {move.seed}) == 6
    end, attempts = ask_until_the_end(plan, make_sample(), [REFUSED] * 3, tuple(spent))
    assert isinstance(end, Rejection) and len(end.attempts) == 6


def test_a_request_that_failed_rejects_with_its_problem(plan: BuildPlan) -> None:
    request = next_move(plan, make_sample(), [])
    assert isinstance(request, Request)
    failed = Attempt.failed(request, "image_truncated", "1.tif: cut")
    assert next_move(plan, make_sample(), [failed]) == Rejection("toy/1.tif#0", "image_truncated", "1.tif: cut")


@pytest.mark.parametrize(
    ("changes", "reason"), [({"problem": ("image_missing", "no")}, "image_missing"), ({"captions": ()}, "no_captions")]
)
def test_a_sample_that_cannot_be_used_is_rejected_unasked(plan: BuildPlan, changes: Any, reason: str) -> None:
    move = next_move(plan, make_sample(**changes), [])
    assert isinstance(move, Rejection) and move.reason == reason


def test_seeds_differ_by_run_sample_step_and_attempt() -> None:
    keys = [(run, sample, step, attempt) for run in (0, 1) for sample in "ab" for step in (0, 1) for attempt in (1, 2)]
    assert len({request_seed(*key) for key in keys}) == len(keys)
