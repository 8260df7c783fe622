"""What a model thinks before it answers is taken off the answer, in whatever form it writes it."""

from __future__ import annotations

from pathlib import Path

import pytest

from lrs2m_builder.engines._thoughts import opens_thought, without_thought
from lrs2m_builder.exchange import Completion
from tests.fake_engine import FakeModule, good_text
from tests.toy import build_toy, make_source, rows

CAPTION = "A road runs beside a field.\nTwo white cars stand on it."
THOUGHT = "The user wants a caption of 50 words.\n\nI see <a road>, 1 < 2 cars."
CLOSED = [
    f"<think>{THOUGHT}</think>{CAPTION}",
    f"<think>\n{THOUGHT}\n</think>\n\n{CAPTION}",
    f"{THOUGHT}</think>\n{CAPTION}",
    f"<think>\n\n</think>\n\n{CAPTION}",
    f"</think>{CAPTION}",
    f"  \n<thinking>{THOUGHT}</thinking> {CAPTION}",
    f"<thought>{THOUGHT}</thought>{CAPTION}",
    f"<reasoning>{THOUGHT}</reasoning>{CAPTION}",
    f"<THINK>{THOUGHT}</THINK>{CAPTION}",
    f'<think budget="200">{THOUGHT}</think>{CAPTION}',
    f"<seed:think>{THOUGHT}</seed:think>{CAPTION}",
    f"<scratchpad>{THOUGHT}</scratchpad>{CAPTION}",
    f"[THINK]{THOUGHT}[/THINK]{CAPTION}",
    f"◁think▷{THOUGHT}◁/think▷{CAPTION}",
    f"<|begin_of_thought|>{THOUGHT}<|end_of_thought|><|begin_of_solution|>{CAPTION}<|end_of_solution|>",
    f"<|START_THINKING|>{THOUGHT}<|END_THINKING|><|START_RESPONSE|>{CAPTION}<|END_RESPONSE|>",
    f"<|channel>thought\n{THOUGHT}<channel|>{CAPTION}",
    f"<unused94>thought\n{THOUGHT}<unused95>{CAPTION}",
    f"<|channel|>analysis<|message|>{THOUGHT}<|end|><|start|>assistant<|channel|>final<|message|>{CAPTION}<|return|>",
    f"<|channel|>final<|message|>{CAPTION}",
    f"analysis{THOUGHT}assistantfinal{CAPTION}",
    f"<think>{THOUGHT}</think><answer>{CAPTION}</answer>",
    f"<think>{THOUGHT}</think>\n<|begin_of_box|>{CAPTION}<|end_of_box|>",
    f"<think>{THOUGHT}<think>again</think>{THOUGHT}</think>{CAPTION}",
    f"<think>I must close with </think> and then write.</think>{CAPTION}",
    f"<think>{THOUGHT}</think>{CAPTION}</think>",
    f"{CAPTION}<think>{THOUGHT}</think>",
]
OPEN = [
    f"<think>{THOUGHT}",
    f"\n<thinking>\n{THOUGHT}",
    f"[THINK]{THOUGHT}",
    f"◁think▷{THOUGHT}",
    f"<|channel>thought\n{THOUGHT}",
    f"<|channel|>analysis<|message|>{THOUGHT}",
    f"analysis{THOUGHT}",
    f"<think>{THOUGHT}</think><think>{THOUGHT}",
]
CAPTIONS = [
    CAPTION,
    "",
    "An analysis of the image shows a road.",
    "I think the final scene [north] shows 1 < 2 roads > 3.",
    "<b>A road</b> beside a field [partly] visible.",
    "Thinking of roads: the channel final reaches the sea.",
]


@pytest.mark.parametrize("text", CLOSED)
def test_a_closed_thought_is_taken_off_and_the_caption_kept_whole(text: str) -> None:
    assert without_thought(Completion(text, "stop", 7, 9)) == Completion(CAPTION, "stop", 7, 9, thought=True)


@pytest.mark.parametrize("text", OPEN)
def test_an_open_thought_leaves_nothing_and_says_so(text: str) -> None:
    assert without_thought(Completion(text, "length")) == Completion("", "thinking", thought=True)


@pytest.mark.parametrize("text", CAPTIONS)
def test_a_caption_without_a_thought_is_left_as_it_is(text: str) -> None:
    completion = Completion(text, "length", 1, 2)
    assert without_thought(completion) is completion


def test_a_caption_before_a_thought_that_did_not_end_keeps_its_own_finish_reason() -> None:
    assert without_thought(Completion(f"{CAPTION}\n<think>{THOUGHT}", "length")) == Completion(
        CAPTION, "length", thought=True
    )


@pytest.mark.parametrize(
    ("prompt", "mark"),
    [
        ("<|im_start|>assistant\n<think>\n", "<think>"),
        ("Assistant: ◁think▷", "◁think▷"),
        ("assistant\n<think>\n\n</think>\n\n", None),
        ("Say what you think.\nassistant\n", None),
        ("Write no <think> tags.\nassistant\n", None),
    ],
)
def test_a_prompt_that_ends_in_an_open_thought_is_known(prompt: str, mark: str | None) -> None:
    assert opens_thought(prompt) == mark


def test_a_build_keeps_the_answers_behind_thoughts_and_counts_them(tmp_path: Path) -> None:
    def thinks(seed: int) -> str:
        return f"<think>The user wants {seed}.</think>{good_text(seed)}" if seed % 2 else good_text(seed)

    module = FakeModule(lambda request: Completion(thinks(request.seed), "stop"))
    report = build_toy(make_source(tmp_path, 12), tmp_path / "out", module)
    assert report.records == 12
    assert not [row for row in rows(tmp_path / "out") if "think" in row["caption_long"]]
    assert report.run["thoughts"] == sum(request.seed % 2 for request in module.requests) > 0
