"""The captioner's tokenizer: words of the sample world as tokens, and its constant sentences as one token each.

The prompts are long and always the same; as single tokens they cost a small model nothing. Any other text still comes
out in bytes and pieces of words, so that every hint of every source can be read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from captioner_training.random_model import CHAT_TEMPLATE, SPECIAL_TOKENS
from lrs2m_builder.declared.prompt import load_prompt
from lrs2m_builder.declared.recipe import Recipe, load_recipe
from lrs2m_builder.sample.texts import PADDING
from lrs2m_builder.sample.words import IN_CELL, OF_CLASS, OF_COVER
from lrs2m_builder.schema import Anchor, Sample

VIEW = "overhead image"
RECIPES = ("short_to_long", "vector_anchored", "long_to_short")
VERIFY = "verify.v1"
_MARK = "\x00"
_LEAST = 20  # characters of a constant line worth a token of its own


def prompt_parts(recipe: str, step: int = 0, **sample: Any) -> tuple[str, ...]:
    """A recipe's prompt before and after the image, as a build renders it, for captions, anchors or a long text."""
    loaded = _recipe(recipe)
    facts = Sample("", "", "", None, **({} if "caption_long" in sample else sample))
    manifest: Any = SimpleNamespace(view=VIEW, hint_label=False)
    variables: Mapping[str, Any] = loaded.steps[step].variables(facts, manifest)
    return loaded.prompts[step].render({"problem": "", **sample, **variables})


@cache
def _recipe(name: str) -> Recipe:
    return load_recipe(name)


def verify_parts(claim: str) -> tuple[str, ...]:
    """The prompt that asks whether a claim is true, before and after the image."""
    return load_prompt(VERIFY).render({"claim": claim})


def verify_tokens() -> list[AddedToken]:
    """The instruction for claims in one token, the word before the claim, and each answer."""
    instruction, statement = verify_parts("")[1].split("\n")
    lines = [AddedToken(text, normalized=False) for text in (instruction, statement.strip())]
    return [*lines, *(AddedToken(word, normalized=False, single_word=True) for word in ("yes", "no"))]


def constant_lines() -> list[str]:
    """Every line of the prompts in which nothing of a sample stands."""
    rendered = [
        *prompt_parts("short_to_long", captions=(_MARK,)),
        *prompt_parts("short_to_long", captions=(_MARK, _MARK)),
        *prompt_parts("vector_anchored", anchors=(Anchor(_MARK, 1),)),
        *prompt_parts("long_to_short", caption_long=_MARK),
        *re.split(r"\{.*?\}", load_prompt("short_to_long.v1").words.split("Your last answer")[-1]),
        "Your last answer could not be used.",
    ]
    lines = (line.strip() for part in rendered for line in part.replace(f": {_MARK}", f":\n{_MARK}").split("\n"))
    return list(dict.fromkeys(line for line in lines if len(line) >= _LEAST and _MARK not in line))


def phrases() -> list[str]:
    """What the sample world's texts say again and again, each with the space before it."""
    sentences = [*OF_COVER.values(), *PADDING]
    pieces = [text.split(" ", 1)[1] for text in sentences]
    pieces += [piece for text in OF_CLASS.values() for piece in re.split(r"\{\w+\}", text)]
    pieces += [*IN_CELL.values(), "at many places of the image", "runs from left to right", "runs from top to bottom"]
    pieces += [f"in the {half} half of the image" for half in ("left", "right", "upper", "lower")]
    pieces += ["run through the scene", "runs through the scene"]
    return [f" {piece.strip(' ')}" for piece in dict.fromkeys(pieces) if len(piece.split()) > 1]


def train_tokenizer(texts: Iterable[str], vocab_size: int) -> PreTrainedTokenizerFast:
    """A tokenizer of at most `vocab_size` tokens that has seen the texts."""
    constant, judging = [*constant_lines(), *phrases()], verify_tokens()
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size - len(constant) - len(judging),
        min_frequency=2,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(_without([*texts, *["user assistant user assistant"] * 2], constant), trainer)
    bpe.add_tokens([*(AddedToken(text, normalized=False) for text in constant), *judging])
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        extra_special_tokens=list(SPECIAL_TOKENS[3:]),
        chat_template=CHAT_TEMPLATE,
    )


def with_verify_tokens(model: Path) -> PreTrainedTokenizerFast:
    """The tokenizer of a finished model with the tokens for claims, behind its own where it has them not yet."""
    tokenizer = PreTrainedTokenizerFast.from_pretrained(model, extra_special_tokens=list(SPECIAL_TOKENS[3:]))
    tokenizer.chat_template = CHAT_TEMPLATE
    tokenizer.add_tokens(verify_tokens())
    return tokenizer


def _without(texts: Iterable[str], constant: Sequence[str]) -> Iterator[str]:
    pattern = re.compile("|".join(map(re.escape, sorted(constant, key=len, reverse=True))))
    return (piece for text in texts for piece in pattern.split(text))
