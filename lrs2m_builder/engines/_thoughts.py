"""Thoughts: what a model writes for itself before its answer is no part of a caption.

<think>The user wants a caption ...</think>A road beside a field.    -> A road beside a field.
The user wants a caption ...</think>A road beside a field.           -> the same; the chat template opened it
<think>The user wants a caption ...                                  -> nothing: max_tokens ended it
"""

from __future__ import annotations

import re
from dataclasses import replace

from lrs2m_builder.exchange import Completion

# Names that models give to the place where they think: Qwen, DeepSeek, GLM and most others say "think".
_NAMES = (
    r"think(?:ing)?|thoughts?|thought_process|reason(?:ing)?|reasoning_content|rationale|reflect(?:ion)?|analysis|cot|"
    r"scratch_?pad|chain_of_thought|inner_(?:monologue|thoughts?|voice)|deliberation"
)
# <think>, <seed:think>, <THINK id="1">, <|begin_of_thought|>, <|START_THINKING|>, [THINK] (Mistral), ◁think▷ (Kimi),
# <|channel>thought (Gemma), <unused94>thought (MedGemma).
_OPENING = (
    rf"<(?:\w+:)?(?:{_NAMES})(?:\s[^<>]*)?>"
    rf"|<\|(?:begin_of_|start_of_|start_|begin_)?(?:{_NAMES})\|>"
    rf"|\[(?:{_NAMES})\]|◁(?:{_NAMES})▷|<\|channel>(?:{_NAMES})\b|<unused94>(?:{_NAMES})\b"
)
_CLOSING = (
    rf"</(?:\w+:)?(?:{_NAMES})\s*>"
    rf"|<\|(?:end_of_|end_|/)(?:{_NAMES})\|>"
    rf"|\[/(?:{_NAMES})\]|◁/(?:{_NAMES})▷|<channel\|>|<unused95>"
)
_MARK = re.compile(rf"(?P<opening>{_OPENING})|(?P<closing>{_CLOSING})", re.IGNORECASE)
# Channels (gpt-oss): <|channel|>analysis<|message|>...<|end|><|start|>assistant<|channel|>final<|message|>...;
# a decoder that drops special tokens leaves analysis...assistantfinal...
_FINAL = re.compile(r"<\|channel\|>\s*final\s*(?:<\|constrain\|>[^<]*)?<\|message\|>", re.IGNORECASE)
_CHANNEL = re.compile(r"\s*(?:<\|start\|>\s*assistant\s*)?<\|channel\|>\s*(?:analysis|commentary)\b", re.IGNORECASE)
_END = re.compile(r"<\|(?:return|end|call)\|>\s*$")
_BARE_CHANNEL = re.compile(r"\s*analysis(?=[A-Z])")
_BARE_FINAL = re.compile(r"assistant\s*final(?=\W*[A-Z])")
# What some put around the answer that follows a thought.
_WRAPPED = re.compile(
    r"\s*(?:<answer>(?P<a>.*)</answer>|<\|begin_of_box\|>(?P<b>.*)<\|end_of_box\|>"
    r"|<\|begin_of_solution\|>(?P<c>.*)<\|end_of_solution\|>|<\|START_RESPONSE\|>(?P<d>.*)<\|END_RESPONSE\|>)\s*",
    re.DOTALL | re.IGNORECASE,
)

# Special tokens that a decoder must not drop, or a thought could not be told from its answer.
TOKENS = re.compile(
    rf"{_OPENING}|{_CLOSING}|<\|channel>|<unused9[45]>|<\|(?:channel|message|start|end|return|constrain|call)\|>",
    re.IGNORECASE,
)


def without_thought(completion: Completion) -> Completion:
    """The completion without the model's thought; `thought` says whether there was one.

    Of a thought that was not closed nothing is left, and the finish reason is "thinking".
    """
    text = completion.text
    outcome = _of_channels(text)
    if outcome is None:
        marks = list(_MARK.finditer(text))
        if not marks:
            return completion
        outcome = _outside(text, marks)
    answer, is_open = outcome
    if is_open and not answer:
        return replace(completion, text="", finish_reason="thinking", thought=True)
    if wrapped := _WRAPPED.fullmatch(answer):
        answer = next(group for group in wrapped.groups() if group is not None).strip()
    return replace(completion, text=answer, thought=True)


def opens_thought(prompt: str) -> str | None:
    """The mark by which a rendered prompt begins a thought that the model is to end; None if it begins none."""
    marks = list(_MARK.finditer(prompt))
    if marks and marks[-1]["opening"] and not prompt[marks[-1].end() :].strip():
        return marks[-1].group()
    return None


def with_closed_thought(prompt: str) -> str:
    """The prompt with the thought ended that it opens, for an answer of one word."""
    mark = opens_thought(prompt)
    return f"{prompt.rstrip()}\n{_closing(mark)}\n\n" if mark else prompt


def _closing(mark: str) -> str:
    """The mark that ends what a mark begins."""
    for begin, end in (("<|channel>", "<channel|>"), ("<unused94>", "<unused95>")):
        if mark.startswith(begin):
            return end
    if mark.startswith("<|"):
        return re.sub("begin|start", lambda word: "END" if word.group().isupper() else "end", mark, flags=re.IGNORECASE)
    return f"{mark[0]}/{mark[1:].split()[0].rstrip('>')}>" if mark[0] == "<" else f"{mark[0]}/{mark[1:]}"


def continued(prompt: str, completion: Completion) -> Completion:
    """The completion with the mark by which its prompt opened a thought, where max_tokens may have ended that thought.

    An answer that ended by itself is left alone: it closed the thought, or the model answered without one.
    """
    mark = opens_thought(prompt) if completion.finish_reason == "length" else None
    return replace(completion, text=mark + completion.text) if mark else completion


def _of_channels(text: str) -> tuple[str, bool] | None:
    """The answer of a text in channels and whether only a thought is there; None if it has no channels."""
    finals = list(_FINAL.finditer(text))
    if finals:
        return _END.sub("", text[finals[-1].end() :]).strip(), False
    if _CHANNEL.match(text):
        return "", True
    if _BARE_CHANNEL.match(text):
        finals = list(_BARE_FINAL.finditer(text))
        return (text[finals[-1].end() :].strip(), False) if finals else ("", True)
    return None


def _outside(text: str, marks: list[re.Match[str]]) -> tuple[str, bool]:
    """What stands outside the thoughts, and whether the last one was not closed."""
    outside: list[str] = []
    start, inside, stray = 0, False, ""
    for mark in marks:
        before = text[start : mark.start()].strip()
        if mark["opening"] and not inside:
            outside.append(before)
            start, inside = mark.end(), True
        elif mark["closing"]:
            # Closed but never opened: the chat template opened it, so that what was before is the thought. Behind
            # another thought it is an answer that the model closed once too often, unless more follows.
            if not inside and mark is not marks[0]:
                stray = before
            start, inside = mark.end(), False
    if not inside:
        outside.append(text[start:].strip())
    answer = " ".join(part for part in outside if part)
    return answer or stray, inside
