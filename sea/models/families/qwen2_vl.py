"""Qwen2-VL (`Qwen2VLForConditionalGeneration`): a ViT on pictures of any size; P, its merger, is the last part of M.

E = what goes into `visual.merger`: a row a patch, (t * h * w, 1280) by the medium's grid; P lays four neighbours side
by side. A 448 x 448 picture: (1024, 1280); a clip of 8 frames of 224 x 224: (4 * 16 * 16, 1280), two frames a row. The
language model counts time, height and width of the slot's tokens (m-rope), so the grid travels with E. Sources:
transformers `models/qwen2_vl/modeling_qwen2_vl.py` (Qwen2VisionTransformerPretrainedModel), arXiv 2409.12191.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from sea.media import blank_image, blank_video
from sea.models.frames import clip, video_processor
from sea.models.spec import Family, Modality

VISION = partial(Modality, encoder="visual", projector="visual.merger", emitter="merge", wire="ND")
IMAGE = VISION(
    argument="pixel_values",
    companions=("image_grid_thw",),
    token_types=("mm_token_type_ids", 1),
    media=lambda image: {"images": [image]},
    blank=blank_image,
    placeholder=lambda processor: str(processor.image_token),
)
VIDEO = VISION(
    argument="pixel_values_videos",
    companions=("video_grid_thw",),
    token_types=("mm_token_type_ids", 2),
    media=clip,
    blank=blank_video,
    placeholder=lambda processor: str(processor.video_token),
)
FAMILY = Family(modalities={"image": IMAGE, "video": VIDEO})

# Of the tiny models: patches of 8 pixels, four of which make a token of the slot; 16 to 36 tokens a picture, so that
# height and width differ, and windows of 2 x 2 tokens do.
PATCHES = {"patch_size": 8, "temporal_patch_size": 2}
MEDIA = {**PATCHES, "merge_size": 2, "size": {"shortest_edge": 64 * 64, "longest_edge": 96 * 96}}
TOKENS = {
    "image_token": "<|image_pad|>",
    "video_token": "<|video_pad|>",
    "vision_start_token": "<|vision_start|>",
    "vision_end_token": "<|vision_end|>",
}


def tiny() -> tuple[Any, Any]:
    """A random-weight model and a real processor, built offline: 2 ViT layers, 2 Qwen2 layers."""
    import transformers

    from sea.models.tiny import initialise

    processor = tiny_processor("Qwen2VLProcessor", "Qwen2VLVideoProcessor")
    config = transformers.Qwen2VLConfig(
        vision_config=transformers.Qwen2VLConfig.sub_configs["vision_config"](
            depth=2, embed_dim=32, hidden_size=64, num_heads=4, mlp_ratio=2, **PATCHES
        ),
        text_config=tiny_text(transformers.Qwen2VLTextConfig, processor),
        **tiny_ids(processor),
    )
    return initialise(transformers.Qwen2VLForConditionalGeneration(config)), processor


def tiny_processor(kind: str, video: str) -> Any:
    """A processor of transformers for small media, and a chat template with the marks around a medium.

    Args:
        kind: its class.
        video: the class of its video processor.
    """
    import transformers

    from sea.models.tiny import tokenizer

    tokens = tokenizer(**TOKENS)
    medium = "{{ media[p['type']] }}"
    return getattr(transformers, kind)(
        image_processor=transformers.Qwen2VLImageProcessorPil(**MEDIA),
        tokenizer=tokens,
        video_processor=video_processor(video, cap_pixels_per_frame=False, **MEDIA),
        chat_template=tokens.chat_template.replace(medium, f"<|vision_start|>{medium}<|vision_end|>"),
    )


def tiny_text(kind: Any, processor: Any, **settings: Any) -> Any:
    """The configuration of a language model of 2 layers with m-rope."""
    from sea.models.tiny import language

    tokens = processor.tokenizer
    rope = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 3, 3]}
    settings["rope_parameters"] = {**rope, **settings.get("rope_parameters", {})}
    return kind(**language(tokens, **settings))


def tiny_ids(processor: Any) -> dict[str, int]:
    """The ids that a configuration names the slot's tokens by."""
    return {f"{name}_id": processor.tokenizer.convert_tokens_to_ids(token) for name, token in TOKENS.items()}
