"""Tiny random models of many families, made on the spot: each with the processor and the marks of its own kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers.models.smolvlm import processing_smolvlm

from captioner_training.random_model import CORPUS

END, PAD = "<|end|>", "<|pad|>"
SIDE, PATCH = 28, 7
GRID = [[28, 56], [56, 28], [56, 56]]
_TEXT = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 16,
    "max_position_embeddings": 4096,
    "tie_word_embeddings": False,
}
_VISION = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "image_size": SIDE,
    "patch_size": PATCH,
}
Made = tuple[Any, Any]  # the network and its processor


def _template(image: str) -> str:
    """A chat template with this mark for an image."""
    return (
        "{% for message in messages %}{{ message['role'] }}: {% for part in message['content'] %}"
        "{% if part['type'] == 'image' %}"
        + image
        + "{% else %}{{ part['text'] }}{% endif %}{% endfor %}"
        + END
        + "\n{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}"
    )


def _tokenizer(*others: str, **named: str) -> Any:
    """A tokenizer with these special tokens; `named` are attributes such as `image_token`."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=[PAD, END, *others, *named.values()],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(CORPUS, trainer)
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=bpe, eos_token=END, pad_token=PAD, extra_special_tokens=named or list(others)
    )


def _text(tokenizer: Any, kind: str = "", **changes: Any) -> dict[str, Any]:
    ids = {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id, "bos_token_id": None}
    return {**_TEXT, **({"model_type": kind} if kind else {}), "vocab_size": len(tokenizer), **ids, **changes}


def _id(tokenizer: Any, token: str) -> int:
    return int(tokenizer.convert_tokens_to_ids(token))


def _gemma3() -> Made:
    words = _tokenizer(image_token="<image_soft_token>", boi_token="<start_of_image>", eoi_token="<end_of_image>")
    pixels = transformers.Gemma3ImageProcessor(size={"height": SIDE, "width": SIDE})
    processor = transformers.Gemma3Processor(pixels, words, _template("<start_of_image>"), image_seq_length=4)
    config = transformers.Gemma3Config(
        text_config=_text(words, sliding_window=64, layer_types=["sliding_attention", "full_attention"]),
        vision_config=_VISION,
        mm_tokens_per_image=4,
        tie_word_embeddings=False,
        boi_token_index=_id(words, "<start_of_image>"),
        eoi_token_index=_id(words, "<end_of_image>"),
        image_token_index=_id(words, "<image_soft_token>"),
        image_token_id=_id(words, "<image_soft_token>"),
    )
    return transformers.Gemma3ForConditionalGeneration(config), processor


def _gemma4() -> Made:
    names = ("image", "boi", "eoi", "audio", "boa", "eoa")
    words = _tokenizer(**{f"{name}_token": f"<|{name}|>" for name in names})
    pixels = transformers.Gemma4ImageProcessor(patch_size=PATCH, max_soft_tokens=70, pooling_kernel_size=3)
    processor = transformers.Gemma4Processor(
        transformers.Gemma4AudioFeatureExtractor(),
        pixels,
        words,
        transformers.Gemma4VideoProcessor(),
        chat_template=_template("<|image|>"),
        image_seq_length=70,
    )
    heads = {"num_key_value_heads": 2, "head_dim": 16, "global_head_dim": 16}
    layers = {"layer_types": ["sliding_attention", "full_attention"], "sliding_window": 64, "global_head_dim": 16}
    per_layer = {"vocab_size_per_layer_input": len(words), "hidden_size_per_layer_input": 8}
    config = transformers.Gemma4Config(
        text_config=_text(words, **layers, **per_layer),
        vision_config={**_VISION, **heads, "pooling_kernel_size": 3, "position_embedding_size": 256},
        audio_config=None,
        **{f"{name}_token_id": _id(words, f"<|{name}|>") for name in ("image", "boi", "eoi", "audio", "video")},
    )
    return transformers.Gemma4ForConditionalGeneration(config), processor


def _of_tiles(family: str) -> Made:
    tiles = [f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7)]
    words = _tokenizer(
        *tiles,
        image_token="<image>",
        fake_image_token="<fake_token_around_image>",
        global_image_token="<global-img>",
        end_of_utterance_token="<end_of_utterance>",
    )
    pixels = getattr(transformers, f"{family}ImageProcessor")(
        size={"longest_edge": 2 * SIDE}, max_image_size={"longest_edge": SIDE}
    )
    videos = {"video_processor": transformers.SmolVLMVideoProcessor()} if family == "SmolVLM" else {}
    processor = getattr(transformers, f"{family}Processor")(
        pixels, words, image_seq_len=4, chat_template=_template("<image>"), **videos
    )
    config = getattr(transformers, f"{family}Config")(
        text_config=_text(words, "llama"),
        vision_config=_VISION,
        scale_factor=2,
        image_token_id=_id(words, "<image>"),
        pad_token_id=words.pad_token_id,
        tie_word_embeddings=False,
    )
    return getattr(transformers, f"{family}ForConditionalGeneration")(config), processor


def _llava() -> Made:
    words = _tokenizer(image_token="<image>")
    crop = {"size": {"shortest_edge": SIDE}, "crop_size": {"height": SIDE, "width": SIDE}}
    processor = transformers.LlavaProcessor(
        transformers.CLIPImageProcessor(**crop),
        words,
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        chat_template=_template("<image>"),
        num_additional_image_tokens=1,
    )
    config = transformers.LlavaConfig(
        text_config=_text(words, "llama"),
        vision_config={"model_type": "clip_vision_model", **_VISION},
        vision_feature_layer=-1,
        image_token_index=_id(words, "<image>"),
        tie_word_embeddings=False,
    )
    return transformers.LlavaForConditionalGeneration(config), processor


def _llava_next() -> Made:
    words = _tokenizer(image_token="<image>")
    crop = {"size": {"shortest_edge": SIDE}, "crop_size": {"height": SIDE, "width": SIDE}}
    processor = transformers.LlavaNextProcessor(
        transformers.LlavaNextImageProcessor(**crop, image_grid_pinpoints=GRID),
        words,
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        chat_template=_template("<image>"),
        num_additional_image_tokens=1,
    )
    config = transformers.LlavaNextConfig(
        text_config=_text(words, "llama"),
        vision_config={"model_type": "clip_vision_model", **_VISION},
        vision_feature_layer=-1,
        image_grid_pinpoints=GRID,
        image_token_index=_id(words, "<image>"),
        tie_word_embeddings=False,
    )
    return transformers.LlavaNextForConditionalGeneration(config), processor


def _llava_onevision() -> Made:
    words = _tokenizer(image_token="<image>", video_token="<video>")
    size = {"height": SIDE, "width": SIDE}
    processor = transformers.LlavaOnevisionProcessor(
        transformers.LlavaOnevisionImageProcessor(size=size, image_grid_pinpoints=GRID),
        words,
        transformers.LlavaOnevisionVideoProcessor(),
        num_image_tokens=(SIDE // PATCH) ** 2,
        vision_feature_select_strategy="full",
        chat_template=_template("<image>"),
    )
    config = transformers.LlavaOnevisionConfig(
        text_config=_text(words, "qwen2"),
        vision_config={"model_type": "siglip_vision_model", **_VISION},
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
        image_grid_pinpoints=GRID,
        image_token_index=_id(words, "<image>"),
        video_token_index=_id(words, "<video>"),
        tie_word_embeddings=False,
    )
    return transformers.LlavaOnevisionForConditionalGeneration(config), processor


def _lfm2_vl() -> Made:
    words = _tokenizer(
        image_token="<image>",
        image_start_token="<|image_start|>",
        image_end_token="<|image_end|>",
        image_thumbnail_token="<|img_thumbnail|>",
    )
    tiles = {"tile_size": 64, "min_tiles": 2, "max_tiles": 4, "min_image_tokens": 4, "max_image_tokens": 16}
    pixels = transformers.Lfm2VlImageProcessor(**tiles, encoder_patch_size=8, downsample_factor=2, max_num_patches=64)
    config = transformers.Lfm2VlConfig(
        text_config=_text(words, "lfm2", layer_types=["conv", "full_attention"], block_multiple_of=8),
        vision_config={"model_type": "siglip2_vision_model", **_VISION, "patch_size": 8, "num_patches": 64},
        image_token_id=_id(words, "<image>"),
        projector_hidden_size=32,
        tie_word_embeddings=False,
    )
    processor = transformers.Lfm2VlProcessor(pixels, words, chat_template=_template("<image>"))
    return transformers.Lfm2VlForConditionalGeneration(config), processor


FAMILIES: Mapping[str, Callable[[], Made]] = {
    "gemma3": _gemma3,
    "gemma4": _gemma4,
    "idefics3": lambda: _of_tiles("Idefics3"),
    "lfm2_vl": _lfm2_vl,
    "llava": _llava,
    "llava_next": _llava_next,
    "llava_onevision": _llava_onevision,
    "smolvlm": lambda: _of_tiles("SmolVLM"),
}


def make_model(family: str, folder: Path) -> Path:
    """Write a random model of the family with its processor; its greedy texts differ with image and words."""
    processing_smolvlm.num2words = str  # which it wants for videos alone, and need not be installed
    network, processor = FAMILIES[family]()
    random_ = torch.Generator().manual_seed(0)
    for parameter in network.parameters():
        if parameter.dim() > 1:
            parameter.data.normal_(std=0.15, generator=random_)
    processor.save_pretrained(folder)
    network.save_pretrained(folder)
    return folder
