"""The embedded engine on a tiny random model: the same texts as vLLM, whoever shares a batch, through every stop."""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import json
import shutil
import signal
import subprocess
import sys
import time
import weakref
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from PIL import Image
from safetensors.torch import load_file, save_file

from lrs2m_builder.build import build
from lrs2m_builder.engines import decoding, engine_names
from lrs2m_builder.engines import transformers as module
from lrs2m_builder.engines import vllm as vllm_module
from lrs2m_builder.engines.base import Engine, EngineStoppedError
from lrs2m_builder.engines.sampling import RowSampler, Sampling
from lrs2m_builder.engines.transformers import TransformersEngine
from lrs2m_builder.errors import SampleError, UserError
from lrs2m_builder.prepare import BuildOptions
from lrs2m_builder.sample.random_model import SPECIAL_TOKENS, make_random_model
from lrs2m_builder.schema import Completion, Request, Role
from tests.test_long_to_short import entry, write_vhm
from tests.toy import file_bytes, ids, journaled, make_source

WORDS = ("river", "two grey roofs", "a road beside a field", "houses", "trees along the right edge of a parking lot")
GREEDY = {"temperature": 0, "max_tokens": 32}
SEEDED = {"temperature": 0.9, "top_p": 0.95, "max_tokens": 32}
Asked = tuple[Request, Image.Image | None]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Qwen2-VL whose greedy texts wander, with the image and with every word, and end at times.

    The tied one of the demo repeats its prompt's last token, on which any two engines agree.
    """
    folder = make_random_model(tmp_path_factory.mktemp("model"))
    network = transformers.Qwen2VLForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
    random_ = torch.Generator().manual_seed(0)
    network.config.tie_word_embeddings = network.config.text_config.tie_word_embeddings = False
    network.lm_head.weight = torch.nn.Parameter(torch.empty_like(network.lm_head.weight))
    for parameter in network.parameters():
        if parameter.dim() > 1:
            parameter.data.normal_(std=0.15, generator=random_)
    # Every special token ends the text, the one that pads included, and they come more often than others.
    network.lm_head.weight.data[: len(SPECIAL_TOKENS)] *= 1.3
    network.generation_config.eos_token_id = list(range(len(SPECIAL_TOKENS)))
    network.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def engine(model: Path) -> Iterator[TransformersEngine]:
    """The engine on it, in float32 on the CPU."""
    engine = module.load(str(model), "mllm", {"device": "cpu", "batch_size": 8})
    yield engine
    engine.close()


def asked(number: int, sampling: dict[str, Any], *, with_image: bool = True) -> Asked:
    """A request whose prompt and image are as long and as large as its number wants."""
    words = " and ".join(WORDS[: number % len(WORDS) + 1])
    request = Request(f"toy/{number}", 0, 1, "mllm", (f"Describe {words}.", f"Number {number}."), number, sampling)
    if not with_image:
        return dataclasses.replace(request, role="llm", parts=(f"Summarize: {words}, {number}.",)), None
    size = (56 + 28 * (number % 3), 84)
    return request, Image.effect_mandelbrot(size, (-2, -1.5, 1 - number / 50, 1.5), 40).convert("RGB")


def answers(engine: Engine, questions: Sequence[Asked]) -> list[Completion]:
    """Ask all of them at once."""

    async def ask() -> list[Completion]:
        try:
            return await asyncio.gather(*(engine.generate(request, image) for request, image in questions))
        finally:
            await engine.finish()

    return asyncio.run(ask())


def error_of(model: Path | str, *, role: Role = "mllm", sampling: dict[str, Any] | None = None, **options: Any) -> str:
    """What `load` says to settings it refuses."""
    with pytest.raises(UserError) as caught:
        module.load(str(model), role, options, [sampling or {}])
    assert "\n" not in str(caught.value)
    return str(caught.value)


def smallest_gap(engine: TransformersEngine, question: Asked) -> float:
    """Least difference of the two highest scores while the question is answered greedily."""
    gaps: list[float] = []

    class Watching(RowSampler):
        def __call__(self, ids_BT: torch.Tensor, scores_BV: torch.Tensor) -> torch.Tensor:  # noqa: N803
            scores_BV = super().__call__(ids_BT, scores_BV)  # noqa: N806
            first, second = scores_BV[0].topk(2).values.tolist()
            gaps.append(first - second)
            return scores_BV

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decoding, "RowSampler", Watching)
        answers(engine, [question])
    return min(gaps)


def whole_characters(answer: Completion) -> Completion:
    """The answer without a character that its last token cut; looking for stop strings, vLLM leaves that out."""
    return dataclasses.replace(answer, text=answer.text.rstrip("\ufffd"))


@pytest.mark.vllm
def test_greedy_answers_are_those_of_vllm(model: Path, engine: TransformersEngine) -> None:
    """Texts, reasons and token counts; they may part only where two tokens score the same to a thousandth."""
    stopping = {"temperature": 0, "max_tokens": 32, "repetition_penalty": 1.3, "stop": ["own", "tion"]}
    questions = [asked(i, sampling) for sampling in (GREEDY, stopping) for i in range(24)]
    questions += [asked(i, sampling, with_image=False) for sampling in (GREEDY, stopping) for i in range(8)]
    vllm = vllm_module.load(str(model), "mllm", {"dtype": "float32", "max_model_len": 512})
    try:
        theirs = answers(vllm, questions)
    finally:
        vllm.close()
    ours = answers(engine, questions)
    assert {answer.finish_reason for answer in ours} == {"stop", "length"}
    assert len({answer.text for answer in ours}) > 32
    pairs = zip(questions, map(whole_characters, ours), map(whole_characters, theirs), strict=True)
    differing = [question for question, a, b in pairs if a != b]
    assert len(differing) <= 4
    assert all(smallest_gap(engine, question) < 1e-3 for question in differing)
    assert [a.num_prompt_tokens for a in ours] == [b.num_prompt_tokens for b in theirs]


@pytest.mark.parametrize(
    "changes", [{}, {"temperature": 0}, {"repetition_penalty": 1.4, "top_k": 50}, {"stop": "tion"}]
)
def test_an_answer_does_not_depend_on_who_shares_its_batch(engine: TransformersEngine, changes: dict[str, Any]) -> None:
    questions = [asked(i, SEEDED | changes, with_image=i % 4 != 3) for i in range(24)]
    together = answers(engine, questions)
    alone = [answers(engine, [question])[0] for question in questions]
    backwards = answers(engine, questions[::-1])[::-1]
    assert together == alone == backwards


def test_a_seed_repeats_its_answer_and_another_gives_another(engine: TransformersEngine) -> None:
    request, image = asked(3, SEEDED)
    seeds = [dataclasses.replace(request, seed=seed) for seed in (5, 6, 5, 2**31 - 1)]
    first, second, third, last = answers(engine, [(seeded, image) for seeded in seeds])
    assert first == third
    assert len({first.text, second.text, last.text}) == 3


def test_tokens_are_drawn_as_often_as_their_probability_says() -> None:
    scores = torch.tensor([2.0, 1.0, 0.0, -1.0, -20.0, 1.5])
    sampling = Sampling(temperature=0.8, top_p=0.95, top_k=5)
    num_rows = 20000
    inputs = {"input_ids": torch.zeros(num_rows, 1, dtype=torch.long), "attention_mask": torch.ones(num_rows, 1)}
    sampler = RowSampler(sampling, range(num_rows), inputs, 1)
    drawn = sampler(inputs["input_ids"], scores.repeat(num_rows, 1)).argmax(-1)
    expected = (scores / 0.8).softmax(-1)
    expected[expected < 0.03] = 0  # what top_p cuts off
    expected /= expected.sum()
    share = drawn.bincount(minlength=6) / num_rows
    assert share[expected == 0].sum() == 0
    assert torch.allclose(share, expected, atol=0.015)


def test_a_prompt_too_long_is_refused_alone(engine: TransformersEngine) -> None:
    request, image = asked(0, GREEDY)
    long = dataclasses.replace(request, parts=("a road beside a field " * 900, "end"))

    async def ask() -> list[Completion | BaseException]:
        both = (engine.generate(long, image), engine.generate(request, image))
        found = await asyncio.gather(*both, return_exceptions=True)
        await engine.finish()
        return found

    refused, answered = asyncio.run(ask())
    assert isinstance(refused, SampleError) and refused.reason == "prompt_too_long"
    assert [answered] == answers(engine, [(request, image)])


def test_an_answer_ends_where_the_context_does(model: Path) -> None:
    small = module.load(str(model), "mllm", {"device": "cpu", "max_model_len": 60})
    short, long = answers(small, [asked(0, SEEDED), asked(4, SEEDED)])  # of 32 and 58 tokens
    small.close()
    assert (long.num_tokens, long.finish_reason) == (60 - long.num_prompt_tokens, "length")
    assert short.num_tokens > long.num_tokens or short.finish_reason == "stop"


def test_too_little_memory_halves_the_batch_and_loses_no_answer(
    model: Path, engine: TransformersEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    questions = [asked(i, SEEDED) for i in range(12)]
    expected = answers(engine, questions)
    poor = module.load(str(model), "mllm", {"device": "cpu", "batch_size": 8})
    generate = poor._decoder._model.generate
    sizes = []

    def with_memory_for_two(**arguments: Any) -> Any:
        sizes.append(len(arguments["input_ids"]))
        if sizes[-1] > 2:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return generate(**arguments)

    monkeypatch.setattr(poor._decoder._model, "generate", with_memory_for_two)
    assert answers(poor, questions) == expected
    assert sizes == [8, 4, 2, 2, 2, 2, 2, 2]

    def without_memory(**arguments: Any) -> Any:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(poor._decoder._model, "generate", without_memory)
    with pytest.raises(EngineStoppedError, match="one request alone does not fit"):
        answers(poor, questions)
    poor.close()


def test_a_batch_that_was_given_up_frees_the_worker_at_once(engine: TransformersEngine) -> None:
    request, image = asked(1, {"temperature": 1.0, "max_tokens": 4000, "repetition_penalty": 1.1})
    network = engine._decoder._model
    steps = 0

    def count(*_: Any) -> None:
        nonlocal steps
        steps += 1

    async def ask_and_give_up() -> None:
        asking = asyncio.create_task(engine.generate(request, image))
        while steps < 5:
            await asyncio.sleep(0.01)
        asking.cancel()
        await engine.finish()

    engine._decoder._ends, ends = {-1}, engine._decoder._ends  # so that nothing else ends it
    with network.register_forward_hook(count):
        asyncio.run(ask_and_give_up())
        steps_then = steps
        engine._worker.submit(bool).result(timeout=30)
    engine._decoder._ends = ends
    assert steps <= steps_then + 2 < 1000


def test_closing_frees_the_model(model: Path) -> None:
    engine = module.load(str(model), "mllm", {"device": "cpu"})
    network = weakref.ref(engine._decoder._model)
    answers(engine, [asked(0, GREEDY)])
    engine.close()
    engine.close()
    gc.collect()
    assert network() is None


def test_settings_that_cannot_be_used_are_refused_in_one_line(model: Path, tmp_path: Path) -> None:
    assert "--engine-option gpus: not an option" in error_of(model, gpus=2)
    assert "batch_size=0" in error_of(model, batch_size=0)
    assert "dtype=int3: one of auto, bfloat16" in error_of(model, dtype="int3")
    assert "device=moon" in error_of(model, device="moon")
    assert "--sampling logprobs: the transformers engine knows" in error_of(model, sampling={"logprobs": 3})
    assert "--sampling top_p=1.5" in error_of(model, sampling={"top_p": 1.5})
    assert "no config.json" in error_of(tmp_path)
    no_model = tmp_path / "no-model"
    shutil.copytree(model, no_model)
    (no_model / "model.safetensors").write_bytes(b"not weights")
    assert "could not load it" in error_of(no_model)
    (no_model / "model.safetensors").unlink()
    assert "could not load it" in error_of(no_model)
    (no_model / "config.json").write_text('{"model_type": "nothing"}')
    assert "could not load it" in error_of(no_model)


def test_weights_that_are_missing_are_not_made_up(model: Path, tmp_path: Path) -> None:
    broken = Path(shutil.copytree(model, tmp_path / "broken"))
    weights = load_file(broken / "model.safetensors")
    name = next(name for name in weights if name.endswith("q_proj.weight"))
    save_file({key: weight for key, weight in weights.items() if key != name}, broken / "model.safetensors")
    assert "lack 1 weights" in error_of(broken)


def test_a_text_only_model_answers_text_and_refuses_images(model: Path, tmp_path: Path) -> None:
    config = transformers.Qwen2Config(
        vocab_size=1024, hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1,
    )  # fmt: skip
    transformers.Qwen2ForCausalLM(config).save_pretrained(tmp_path)
    for name in ("tokenizer.json", "chat_template.jinja"):
        shutil.copy(model / name, tmp_path)
    settings = json.loads((model / "tokenizer_config.json").read_text())
    del settings["processor_class"]
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    engine = module.load(str(tmp_path), "llm", {"device": "cpu"})
    questions = [asked(i, SEEDED, with_image=False) for i in range(5)]
    together = answers(engine, questions)
    assert together == [answers(engine, [question])[0] for question in questions]
    assert {answer.num_tokens for answer in together} == {32}
    engine.close()
    assert "takes no images" in error_of(tmp_path)


def test_a_text_only_build_opens_no_image_while_it_asks(
    model: Path, tmp_path: Path, files_opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    generate = TransformersEngine.generate
    opened_while_asking: list[str] = []

    async def watched(self: TransformersEngine, request: Request, image: Image.Image | None) -> Completion:
        completion = await generate(self, request, image)
        assert image is None
        opened_while_asking.extend(path for path in files_opened if path.endswith(".jpg"))
        return completion

    monkeypatch.setattr(TransformersEngine, "generate", watched)
    folder = write_vhm(tmp_path / "data", [entry(f"{i}.jpg", "LoveDA") for i in range(6)])
    files_opened.clear()
    report = build(
        BuildOptions(
            recipe="long_to_short",
            source="loveda",
            data_dir=folder,
            out_dir=tmp_path / "out",
            engine="transformers",
            model=str(model),
            checks={"all": "warn"},
        ),
        module,
    )
    assert report.samples == 6 == report.records
    assert opened_while_asking == []
    assert [path for path in files_opened if path.endswith(".jpg")], "the images were stored, so the watch works"


def test_a_build_killed_and_stopped_goes_on_to_the_same_rows(model: Path, tmp_path: Path) -> None:
    """Three lives: SIGKILL, Ctrl-C, the end; its texts are those of a build that nothing stopped."""
    source = make_source(tmp_path / "source", 80)
    out, whole = tmp_path / "out", tmp_path / "whole"

    def start(out_dir: Path, *more: str) -> subprocess.Popen[str]:
        arguments = ["build", "--recipe", "short_to_long", "--source", str(source), "--data-dir", str(source.parent)]
        arguments += ["--out", str(out_dir), "--engine", "transformers", "--model", str(model), "--check", "all=warn"]
        arguments += ["--sampling", "max_tokens=64", "--shard-size", "16", *more]
        arguments = [sys.executable, "-m", "lrs2m_builder.cli", *arguments]
        return subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def wait_for_answers(process: subprocess.Popen[str], number: int) -> None:
        deadline = time.monotonic() + 240
        while len(journaled(out)) + len(ids(out)) < number:
            assert process.poll() is None and time.monotonic() < deadline, process.communicate()[0]
            time.sleep(0.01)

    first = start(out, "--engine-option", "batch_size=4")
    wait_for_answers(first, 10)
    first.kill()
    first.communicate()
    kept, finished = len(journaled(out)) + len(ids(out)), file_bytes(out)
    second = start(out, "--engine-option", "batch_size=4")
    wait_for_answers(second, kept + 10)
    second.send_signal(signal.SIGINT)
    output, _ = second.communicate(timeout=240)
    assert second.returncode == 130 and "Traceback" not in output, output
    third = start(out, "--json")  # with another batch size
    output, _ = third.communicate(timeout=240)
    assert third.returncode == 0, output
    report = json.loads(output.splitlines()[-1])
    assert report["samples"] == 80 == report["records"] + sum(report["rejections"].values())
    assert report["run"]["requests"] <= 80 - kept - 10
    assert max(Counter(ids(out)).values()) == 1
    assert all(file_bytes(out)[name] == content for name, content in finished.items())

    assert start(whole).wait(timeout=240) == 0
    assert file_bytes(out) == file_bytes(whole)


def test_the_engine_is_named_where_engines_are_chosen() -> None:
    assert engine_names() == ["openai", "transformers", "vllm"]
