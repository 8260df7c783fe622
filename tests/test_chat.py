"""A model's processor: special tokens once, room for its images, and no code of others unasked."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from tokenizers import Tokenizer
from tokenizers.processors import TemplateProcessing
from transformers import (
    AutoTokenizer,
    LlavaOnevisionImageProcessor,
    LlavaOnevisionProcessor,
    LlavaOnevisionVideoProcessor,
)

from captioner_training.random_model import make_random_model
from lrs2m_builder.engines._base import DEFAULT_MAX_LENGTH
from lrs2m_builder.engines._chat import Chat
from lrs2m_builder.engines._model_files import find_model
from lrs2m_builder.errors import SampleError, UserError
from lrs2m_builder.exchange import Request

FIRST = "<|im_start|>"  # what the chat template begins with
TEXT = Request("toy/1", 0, 1, "llm", ("A road beside a field.",), 7, {})
PICTURE = Request("toy/1", 0, 1, "mllm", ("Describe it.", "It is a field."), 7, {})


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Qwen2-VL."""
    return make_random_model(tmp_path_factory.mktemp("model"))


def sets_first_token(model: Path) -> None:
    """Make the tokenizer one that sets the first token, as those of InternLM and GLM do."""
    tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
    special = [(FIRST, tokenizer.token_to_id(FIRST))]
    tokenizer.post_processor = TemplateProcessing(single=f"{FIRST} $A", pair=f"{FIRST} $A $B", special_tokens=special)
    tokenizer.save(str(model / "tokenizer.json"))


def test_a_token_that_template_and_tokenizer_both_set_first_stands_once(tmp_path: Path) -> None:
    model = make_random_model(tmp_path / "model")
    sets_first_token(model)
    for role, request, images in (("llm", TEXT, []), ("mllm", PICTURE, [Image.new("RGB", (84, 84))])):
        chat = Chat(find_model(str(model)), role, {})
        tokenizer = getattr(chat.processor, "tokenizer", chat.processor)
        first = tokenizer.convert_tokens_to_ids(FIRST)
        assert tokenizer("a")["input_ids"][0] == first
        ids = chat.inputs([request], images)["input_ids"][0]
        assert ids[0] == first != ids[1]


def test_a_model_that_cuts_images_in_tiles_has_room_for_them(model: Path, tmp_path: Path) -> None:
    """LLaVA-OneVision, the paper's model for Seg-4: an image of 1001 x 1001 pixels is 7371 tokens."""
    tokenizer = AutoTokenizer.from_pretrained(model)
    tokenizer.add_tokens(["<image>", "<video>"], special_tokens=True)
    template = "{% for part in messages[0].content %}{{ '<image>' if part.type == 'image' else part.text }}{% endfor %}"
    LlavaOnevisionProcessor(
        LlavaOnevisionImageProcessor(),
        tokenizer,
        LlavaOnevisionVideoProcessor(),
        num_image_tokens=729,
        vision_feature_select_strategy="full",
        chat_template=template,
    ).save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llava_onevision"}))
    chat = Chat(find_model(str(tmp_path)), "mllm", {})
    picture = Image.new("RGB", chat.image_size(1024, 1024))
    assert chat.default_length() >= chat.num_prompt_tokens(PICTURE, picture) + 1000 > 8000


def test_a_caption_that_holds_a_mark_of_the_model_is_refused_alone(model: Path) -> None:
    """An image's mark without an image is an error of the processor, which would end the build."""
    chat = Chat(find_model(str(model)), "mllm", {})
    marked = replace(PICTURE, parts=("Describe it.", "It is a <|image_pad|> field."))
    with pytest.raises(SampleError, match="request_refused: the model's processor fails"):
        chat.inputs([marked], [Image.new("RGB", (84, 84))])
    with pytest.raises(SampleError, match="request_refused"):
        chat.check(marked)
    chat.check(PICTURE)


def test_room_grows_with_the_pixels_that_are_asked_for(model: Path) -> None:
    files = find_model(str(model))
    assert Chat(files, "mllm", {}).default_length() == DEFAULT_MAX_LENGTH == Chat(files, "llm", {}).default_length()


def test_code_that_comes_with_a_model_runs_only_when_it_is_trusted(model: Path, tmp_path: Path) -> None:
    """InternLM2.5, the paper's model for CVACT, CVUSA and fMoW, has a tokenizer of its own."""
    AutoTokenizer.from_pretrained(model).save_pretrained(tmp_path)
    settings = json.loads((tmp_path / "tokenizer_config.json").read_text())
    settings |= {"tokenizer_class": "OwnTokenizer", "auto_map": {"AutoTokenizer": [None, "own.OwnTokenizer"]}}
    settings.pop("processor_class", None)
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "own"}))
    (tmp_path / "own.py").write_text(
        "from transformers import PreTrainedTokenizerFast\n\nclass OwnTokenizer(PreTrainedTokenizerFast):\n"
        "    own = True\n"
    )
    files = find_model(str(tmp_path))
    with pytest.raises(UserError, match="--engine-option trust_remote_code=true"):
        Chat(files, "llm", {})
    assert Chat(files, "llm", {"trust_remote_code": True}).processor.own
