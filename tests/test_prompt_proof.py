"""A chat template is proved before the engine starts: all words in their order, the image once, or one line."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from captioner_training.random_model import make_random_model
from lrs2m_builder.engines._base import Brake, EngineStoppedError, well_known_mark
from lrs2m_builder.engines._chat import Chat
from lrs2m_builder.engines._model_files import find_model
from lrs2m_builder.errors import SampleError, UserError
from lrs2m_builder.exchange import Request

IMAGE = "<|vision_start|><|image_pad|><|vision_end|>"
PICTURE = Request("toy/1", 0, 1, "mllm", ("Describe it.", "It is a 'field'."), 7, {})
TEXT = Request("toy/1", 0, 1, "llm", ('A road beside a "field".',), 7, {})
EACH = "{% for m in messages %}U:"
PARTS = (
    "{% for c in m['content'] %}{% if c['type'] == 'image' %}"
    + IMAGE
    + "{% else %}{{ c['text'] }}{% endif %}{% endfor %}"
)
BOTH = EACH + "{% if m['content'] is string %}{{ m['content'] }}{% else %}" + PARTS + "{% endif %}{% endfor %}A:"
LISTS_ONLY = EACH + PARTS + "{% endfor %}A:"
IMAGE_FIRST = (
    EACH + "{% for c in m.content if c.type == 'image' %}" + IMAGE + "{% endfor %}"
    "{% for c in m.content if c.type == 'text' %}{{ c.text }}{% endfor %}{% endfor %}A:"
)  # fmt: skip


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_random_model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def model(original: Path, tmp_path: Path) -> Path:
    """A copy without a chat template."""
    folder = Path(shutil.copytree(original, tmp_path / "model"))
    (folder / "chat_template.jinja").unlink()
    return folder


def chat(model: Path, template: str | None = None, role: Any = "mllm", **options: Any) -> Chat:
    if template is not None:
        (model / "chat_template.jinja").write_text(template)
    return Chat(find_model(str(model)), role, options)


@pytest.mark.parametrize(
    ("template", "what"),
    [
        (EACH + "{{ m['content'] + ' ' }}{% endfor %}A:", "it fails (TypeError"),
        (EACH + "{{ m['content'] }}{% endfor %}A:", "a list of Python"),
        (EACH + "{{ m['content'] | tojson }}{% endfor %}A:", "a list of Python"),
        (EACH + "{{ m['content'][0] }}{% endfor %}A:", "a list of Python"),
        (EACH + "{{ raise_exception('texts only') }}{% endfor %}", "texts only"),
        (
            EACH + "{% for c in m.content if c.type == 'text' %}{{ c.text }} {% endfor %}{% endfor %}A:",
            "shows no image",
        ),
        (EACH + "{% for c in m.content if c.type == 'image' %}" + IMAGE + "{% endfor %}{% endfor %}A:", "drops words"),
        (LISTS_ONLY.replace(IMAGE, IMAGE * 2), "shows the image 2 times"),
        (LISTS_ONLY.replace(IMAGE, "<picture>"), "does not know"),
        (LISTS_ONLY.replace("{{ c['text'] }}", "{{ c['text'] * 2 }}"), "twice"),
        (LISTS_ONLY.replace("{{ c['text'] }}", "{{ c['text'] | upper }}"), "drops words"),
        (LISTS_ONLY.replace("{{ c['text'] }}", "{{ c['text'] | escape }}"), "drops words"),
        (LISTS_ONLY.replace("{{ c['text'] }}", "{{ c['text'][:9] }}"), "drops words"),
        (EACH + "{% for c in m.content | reverse %}{{ c.text or '" + IMAGE + "' }}{% endfor %}{% endfor %}A:", "order"),
        ("{{ messages[1].content }}", "it fails"),
        ("{% for m in messages %}", "it fails"),
    ],
)
def test_a_template_that_loses_something_is_refused_in_one_line(model: Path, template: str, what: str) -> None:
    with pytest.raises(UserError) as caught:
        chat(model, template).prove(PICTURE)
    assert what in str(caught.value) and "cannot be used for an image" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("template", [BOTH, LISTS_ONLY, IMAGE_FIRST], ids=["both", "lists", "image-first"])
@pytest.mark.parametrize("request_", [PICTURE, TEXT], ids=["image", "text"])
def test_the_form_of_content_that_works_is_taken(model: Path, template: str, request_: Request) -> None:
    text = chat(model, template).prompt_text(request_)
    assert all(part in text for part in request_.parts)
    assert text.count(IMAGE) == (request_.role == "mllm")
    assert "it.It" not in text, "an image that goes first must not glue the words around it"


def test_a_text_step_is_served_by_a_template_that_adds_strings(model: Path) -> None:
    template = EACH + "{{ m['content'] + ' ' }}{% endfor %}A:"
    assert chat(model, template, "llm").prompt_text(TEXT) == f"U:{TEXT.parts[0]} A:"


def test_a_system_prompt_that_a_template_drops_is_refused(model: Path) -> None:
    template = LISTS_ONLY.replace("U:", "{% if m.role == 'user' %}U:").replace(
        "{% endfor %}A:", "{% endif %}{% endfor %}A:"
    )
    loaded = chat(model, template)
    assert loaded.prove(PICTURE) == []
    with pytest.raises(UserError, match="with --system: it drops words"):
        loaded.prove(replace(PICTURE, system="You look from above."))


def put_in_jinja(model: Path) -> None:
    (model / "chat_template.jinja").write_text(BOTH)


def put_in_json(model: Path) -> None:
    (model / "chat_template.json").write_text(json.dumps({"chat_template": BOTH}))


def put_in(file: str, value: Any) -> Any:
    def put(model: Path) -> None:
        path = model / file
        content = json.loads(path.read_text()) if path.exists() else {}
        path.write_text(json.dumps({**content, "chat_template": value}))

    return put


def put_named(model: Path) -> None:
    folder = model / "additional_chat_templates"
    folder.mkdir()
    (folder / "captions.jinja").write_text(BOTH)


NAMED = [{"name": "tool_use", "template": "{{ tools }}"}, {"name": "default", "template": BOTH}]


@pytest.mark.parametrize("role", ["mllm", "llm"])
@pytest.mark.parametrize(
    "put",
    [
        put_in_jinja,
        put_in_json,
        put_in("tokenizer_config.json", BOTH),
        put_in("tokenizer_config.json", NAMED),
        put_in("processor_config.json", BOTH),
        put_in("chat_template.json", {"default": BOTH}),
        put_named,
    ],
    ids=["jinja", "json", "tokenizer", "named-list", "processor", "json-named", "additional"],
)
def test_a_template_is_found_where_models_keep_it(model: Path, put: Any, role: Any) -> None:
    put(model)
    request = PICTURE if role == "mllm" else TEXT
    assert chat(model, role=role).prompt_text(request).startswith(f"U:{request.parts[0]}")


@pytest.mark.parametrize(
    "mark",
    ["<|image_pad|>", "<|video_pad|>", "<|vision_start|>", "<|im_end|>", "<image>", "<start_of_turn>", "[INST]",
     "◁media_pad▷", "<｜begin▁of▁sentence｜>", "<image_soft_token>", "</s>"],
)  # fmt: skip
def test_a_mark_in_the_words_is_refused_though_the_tokenizer_does_not_list_it(model: Path, mark: str) -> None:
    """A tokenizer may hold its marks as added tokens alone."""
    path = model / "tokenizer_config.json"
    settings = json.loads(path.read_text())
    settings["extra_special_tokens"] = ["<|im_start|>"]
    path.write_text(json.dumps(settings))
    loaded = chat(model, BOTH)
    with pytest.raises(SampleError, match="request_refused"):
        loaded.check(replace(PICTURE, parts=("Describe it.", f"A {mark} field.")))
    loaded.check(PICTURE)


@pytest.mark.parametrize(
    "text", ["A <b>field</b> of 3 < 4 trees", "rows [north] of cars", "1 <| 2 |> 3", "a|b", "s > t"]
)
def test_words_are_no_marks(text: str) -> None:
    assert well_known_mark(text) is None


def test_any_error_of_a_processor_is_that_requests(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = chat(model, BOTH)
    for error in (StopIteration(), KeyError("newline"), ZeroDivisionError("x"), AssertionError()):

        def fails(error: Exception = error, **_: Any) -> Any:
            raise error

        monkeypatch.setattr(loaded, "processor", fails)
        with pytest.raises(SampleError, match="request_refused"):
            loaded.inputs([PICTURE], [Image.new("RGB", (84, 84))])


def test_a_model_that_fails_on_everything_stops_the_engine_in_one_line() -> None:
    brake, error = Brake("toy"), SampleError("request_refused", "the model's processor fails")
    for _ in range(7):
        assert brake.failed(error) is error
    with pytest.raises(EngineStoppedError, match="the first 8 requests all failed"):
        brake.failed(error)
    brake = Brake("toy")
    brake.release()
    assert [brake.failed(error) for _ in range(50)] == [error] * 50
