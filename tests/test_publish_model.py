"""A published model loads in transformers and open_clip without remote code, and its card says what it is."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
import yaml
from PIL import Image
from transformers import AutoModel, AutoProcessor, AutoTokenizer

from lrs2m_builder import cli
from lrs2m_builder.clip.model import encode_image, encode_text, load, random_model
from lrs2m_builder.clip.save import save
from lrs2m_builder.dataset.publish.upload import STATE
from lrs2m_builder.errors import UserError
from lrs2m_builder.evals.publish_model import publish_model
from lrs2m_builder.evals.record import Result
from lrs2m_builder.evals.results import write_result
from lrs2m_builder.evals.while_training import make_measures
from lrs2m_builder.train.config import changed
from lrs2m_builder.train.named_configs import tiny
from lrs2m_builder.train.run import train
from tests.clip_toy import make_data
from tests.fake_hub import TOKEN, FakeHub, fake_hub

FILES = {
    *("README.md", "config.json", "model.safetensors", "open_clip_config.json", "open_clip_model.safetensors"),
    *("processor_config.json", "tokenizer.json", "tokenizer_config.json"),
}
TEXTS = ["A river runs from left to right.", "Three planes stand on an apron. " * 12]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of two steps."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("run")
    data, config = make_data(folder / "pairs"), changed(tiny(), {"max_steps": 2})
    train(config, [data], out_dir=folder / "run", make_evaluate=make_measures([data], config))
    return folder / "run"


@pytest.fixture(scope="module")
def tree(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its tree, from a dry run."""
    dest = tmp_path_factory.mktemp("tree") / "dest"
    publish_model(finished, "me/clip", dest=dest, dry_run=True)
    return dest


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """The real client speaks to a Hub on this machine."""
    with fake_hub() as running:
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", running.endpoint)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        yield running


def card(dest: Path) -> str:
    return " ".join((dest / "README.md").read_text().split())


def front(dest: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((dest / "README.md").read_text().split("---\n")[1])
    return found


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["lrs2m", "publish", *map(str, arguments)])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    return int(stopped.value.code or 0)


# The tree


def test_a_dry_run_writes_exactly_the_tree_and_names_it(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    dest = tmp_path / "dest"
    assert run(monkeypatch, finished, "--repo-id", "me/clip", "--dest", dest, "--dry-run", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["uploaded"] is None
    assert set(told["files"]) == {path.name for path in dest.iterdir()} - {STATE} == FILES


def test_transformers_and_open_clip_load_it_without_remote_code_and_agree(tree: Path, finished: Path) -> None:
    ours = load(str(finished / "model"))
    theirs = AutoModel.from_pretrained(str(tree), trust_remote_code=False).eval()
    processor = AutoProcessor.from_pretrained(str(tree), trust_remote_code=False)
    other, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{tree}")
    tokenize = open_clip.get_tokenizer(f"local-dir:{tree}")
    image = Image.linear_gradient("L").convert("RGB")
    inputs = processor(text=TEXTS, images=image, padding=True, truncation=True, return_tensors="pt")
    with torch.no_grad():
        images = encode_image(ours.model, ours.transform(image)[None])
        texts = encode_text(ours.model, ours.tokenize(TEXTS))
        output = theirs(**inputs)
        torch.testing.assert_close(output.text_embeds, texts, rtol=0, atol=1e-5)
        torch.testing.assert_close(output.image_embeds, images, rtol=0, atol=1e-2)  # its resize rounds otherwise
        other.eval()
        torch.testing.assert_close(other.encode_text(tokenize(TEXTS), normalize=True), texts, rtol=0, atol=1e-5)
        pixels = preprocess(image)[None]
        torch.testing.assert_close(other.encode_image(pixels, normalize=True), images, rtol=0, atol=1e-5)


def test_its_tokenizer_cuts_at_248(tree: Path) -> None:
    assert AutoTokenizer.from_pretrained(str(tree)).model_max_length == 248
    assert AutoProcessor.from_pretrained(str(tree)).tokenizer.model_max_length == 248


def test_a_model_of_no_run_is_published_too(tmp_path: Path) -> None:
    save(random_model(context_length=248), tmp_path / "model")
    report = publish_model(tmp_path / "model", "me/clip", dest=tmp_path / "dest", dry_run=True)
    assert set(report.files) == FILES
    assert "came as a folder without its run" in card(tmp_path / "dest")


# The card


def test_the_card_says_how_the_model_was_trained(tree: Path) -> None:
    text = card(tree)
    assert "**248 tokens**" in text and "| start | random (seed:0) |" in text and "| steps | 2, 8 pairs" in text
    assert "Measured on held-out data after the last step, in percent: long_t2i_r1 " in text
    assert front(tree)["library_name"] == "transformers" and "base_model" not in front(tree)


def test_the_card_links_the_data_and_states_the_licence(finished: Path, tmp_path: Path) -> None:
    dest = tmp_path / "dest"
    publish_model(
        finished, "me/clip", datasets=["me/pairs", "you/more"], license_id="apache-2.0", dest=dest, dry_run=True
    )
    assert front(dest)["datasets"] == ["me/pairs", "you/more"] and front(dest)["license"] == "apache-2.0"
    assert "[me/pairs](https://huggingface.co/datasets/me/pairs)" in card(dest)


def test_the_card_has_a_table_for_each_evaluation_with_this_model_by_its_name(finished: Path, tmp_path: Path) -> None:
    own = load(str(finished / "model"), context_length=None).revision
    recalls = {"t2i_r1": 0.385, "t2i_r5": 0.7389, "mr": 0.6479}
    found = [
        Result("zcrl", "RSITMD-L", "run", own, recalls, 452, 452),
        Result("zcrl", "RSITMD-L", "Long-CLIP | B/16", "sha256:other", {"t2i_r1": 0.1903}, 452, 452),
        Result("zic", "EuroSAT", "run", own, {"accuracy": 0.5755}, 27000, 10),
        Result("selo", "AIR-SLT", "run", own, {"r_su": 0.7, "r_as": 0.2, "r_da": 0.8, "r_mi": 0.7582}, 22, 59),
    ]
    for number, result in enumerate(found):
        write_result(result, tmp_path / "results" / f"{number}.json")
    dest = tmp_path / "dest"
    publish_model(finished, "me/clip", results=tmp_path / "results", dest=dest, dry_run=True)
    lines = (dest / "README.md").read_text().splitlines()
    assert "| **me/clip** | RSITMD-L | 38.50 | 73.89 | - | - | - | - | 64.79 |" in lines
    assert "| Long-CLIP \\| B/16 | RSITMD-L | 19.03 | - | - | - | - | - | - |" in lines
    assert lines[lines.index("| model | set | accuracy |") + 1] == "|---|---|---:|"
    assert "| **me/clip** | EuroSAT | 57.55 |" in lines
    assert "| **me/clip** | AIR-SLT | 0.7000 | 0.2000 | 0.8000 | 0.7582 |" in lines


# The upload, and what is refused


def test_the_upload_is_the_tree_and_a_second_run_sends_nothing(
    hub: FakeHub, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    dest = tmp_path / "dest"
    arguments = (finished, "--repo-id", "me/clip", "--dest", dest, "--private")
    assert run(monkeypatch, *arguments) == 0, capsys.readouterr().err
    repo = hub.repos["model", "me/clip"]
    assert repo.private and repo.files.keys() == FILES
    assert all(hub.content("me/clip", name, "model") == (dest / name).read_bytes() for name in FILES)
    assert run(monkeypatch, *arguments) == 0
    assert "nothing new for" in capsys.readouterr().out


def test_an_unfinished_run_is_refused(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished, tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "model")
    with pytest.raises(UserError, match="the run is not finished"):
        publish_model(tmp_path / "run", "me/clip", dest=tmp_path / "dest", dry_run=True)


def test_a_tree_of_another_model_is_not_written_over(tree: Path, tmp_path: Path) -> None:
    save(random_model(context_length=248, seed=1), tmp_path / "model")
    with pytest.raises(UserError, match="holds a tree that was made from something else"):
        publish_model(tmp_path / "model", "me/clip", dest=tree, dry_run=True)


def test_options_of_data_are_refused_for_a_model_and_the_other_way_round(
    finished: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run(monkeypatch, finished, "--repo-id", "me/clip", "--captions-only", "--dry-run") == 2
    assert "publish a model by itself" in capsys.readouterr().err
    assert run(monkeypatch, tmp_path, "--repo-id", "me/clip", "--license", "mit", "--dry-run") == 2
    assert "--results, --trained-on and --license are for models" in capsys.readouterr().err
