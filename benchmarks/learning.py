"""Does `lrs2m train` learn as well as a plain loop: same pairs, same model size, ours against open_clip's.

UCM-Captions with the images of UC Merced, five captions per image; 100 steps of `--config small` with its defaults, and
of a plain loop: open_clip's model with its own initialisation, ClipLoss, transform, AdamW groups and cosine schedule,
over a DataLoader that shuffles single rows. Same batch, learning rate, decay and warm-up. Both are evaluated on the
images of the other splits by the same code. A stopped run resumes. A quarter of an hour on two idle cores.

    python benchmarks/learning.py --work DIR [--seeds 3] [--steps 100]
"""

from __future__ import annotations

import argparse
import io
import json
import statistics
from pathlib import Path
from typing import Any

import open_clip
import pyarrow.parquet as pq
import torch
from _common import real_data
from _real_pairs import write_ucm
from PIL import Image
from torch.utils.data import DataLoader

from lrs2m_builder.clip.architecture import open_clip_config
from lrs2m_builder.clip.model import RANDOM, load, random_model
from lrs2m_builder.evals.held_out import measure_recall, read_held_out
from lrs2m_builder.evals.while_training import make_measures
from lrs2m_builder.train.config import TrainConfig
from lrs2m_builder.train.named_configs import make_config
from lrs2m_builder.train.optim import fitted_warmup
from lrs2m_builder.train.run import train

CONTEXT = 77  # of the plain loop: no caption is longer, and open_clip pads to the whole context
LAST = 20  # steps whose mean loss is reported


def ours(config: TrainConfig, data: Path, held_out: Path, out: Path) -> dict[str, float]:
    """`lrs2m train` with its defaults."""
    train(config, [data], out_dir=out, make_evaluate=make_measures([held_out], config))
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    recalls = {name.removeprefix("eval_short_"): value for name, value in lines[-1].items() if name.startswith("eval")}
    return {"loss": statistics.mean(line["loss"] for line in lines[-LAST:]), **recalls}


def plain(config: TrainConfig, data: Path, held_out: Path, out: Path) -> dict[str, float]:
    """A typical loop with open_clip."""
    torch.manual_seed(config.seed)
    like = random_model(context_length=CONTEXT, **RANDOM["random_small"]).model.config
    model = open_clip.CLIP(**open_clip_config(like)).train()
    groups = _groups(model, config.weight_decay)
    optimizer = torch.optim.AdamW(groups, lr=config.lr, betas=config.betas, eps=1e-6)
    schedule = open_clip_cosine(config)
    loss_of, losses, step = open_clip.ClipLoss(), [], 0
    pairs = _pairs(data)
    loader = DataLoader(pairs, config.batch_size, shuffle=True, drop_last=True)
    while step < (config.max_steps or 0):
        for pixels, tokens in loader:
            for group in optimizer.param_groups:
                group["lr"] = schedule(step)
            images, texts, scale = model(pixels, tokens)
            loss = loss_of(images, texts, scale)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            with torch.no_grad():
                model.logit_scale.clamp_(0, 4.6052)
            losses.append(loss.item())
            step += 1
            if step == config.max_steps:
                break
    out.mkdir(parents=True)
    torch.save(model.state_dict(), out / "model.pt")
    loaded = load(str(out / "model.pt"), context_length=None)
    recalls = measure_recall(loaded, read_held_out([held_out], loaded))
    return {
        "loss": statistics.mean(losses[-LAST:]),
        **{name.removeprefix("short_"): value for name, value in recalls.items()},
    }


def open_clip_cosine(config: TrainConfig) -> Any:
    """open_clip's schedule as a function of the step, counted from 0."""
    total = config.max_steps or 0
    holder = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    from open_clip_train.scheduler import cosine_lr

    return cosine_lr(holder, config.lr, fitted_warmup(total, config), total)


def _groups(model: Any, decay: float) -> list[dict[str, Any]]:
    """The parameter groups of open_clip's main.py."""
    named = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    plain_names = {n for n, p in named if p.ndim < 2 or "bn" in n or "ln" in n or "bias" in n or "logit_scale" in n}
    return [
        {"params": [p for n, p in named if n in plain_names], "weight_decay": 0.0},
        {"params": [p for n, p in named if n not in plain_names], "weight_decay": decay},
    ]


def _pairs(data: Path) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Pixels and tokens of every row; the rows of one image share its pixels."""
    transform, tokenize = open_clip.image_transform(64, is_train=False), open_clip.get_tokenizer("ViT-B-32")
    pixels: dict[str, torch.Tensor] = {}
    pairs = []
    for row in pq.read_table(data).to_pylist():
        name = row["image"]["path"]
        if name not in pixels:
            pixels[name] = transform(Image.open(io.BytesIO(row["image"]["bytes"])))
        pairs.append((pixels[name], tokenize([row["caption_short"]])[0]))
    return pairs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="Folder for data and runs; kept.")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=100)
    arguments = parser.parse_args()
    work: Path = arguments.work.resolve()
    for split in ("train", "val", "test"):
        folder = work / ("train" if split == "train" else "held_out")
        if not (folder / f"{split}.parquet").exists():
            write_ucm(real_data(), split, folder / f"{split}.parquet")
    runs_by_name: dict[str, list[dict[str, float]]] = {"lrs2m train": [], "open_clip loop": []}
    for seed in range(arguments.seeds):
        for name, run in (("lrs2m train", ours), ("open_clip loop", plain)):
            config = make_config("small", ["train_on=short", f"max_steps={arguments.steps}", f"seed={seed}"])
            out = work / f"{name.split()[0]}-{seed}"
            result = work / f"{out.name}.json"
            if not result.exists():
                result.write_text(json.dumps(run(config, work / "train", work / "held_out", out)))
            values = json.loads(result.read_text())
            runs_by_name[name].append(values)
            print(
                f"seed {seed}, {name}: " + ", ".join(f"{key} {value:.4f}" for key, value in values.items()), flush=True
            )
    for key in runs_by_name["lrs2m train"][0]:
        columns = {name: [values[key] for values in runs] for name, runs in runs_by_name.items()}
        print(key, *(f"{name}: {statistics.mean(v):.4f} ({min(v):.4f} to {max(v):.4f})" for name, v in columns.items()))


if __name__ == "__main__":
    main()
