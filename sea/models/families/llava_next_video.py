"""LLaVA-NeXT-Video (`LlavaNextVideoForConditionalGeneration`): LLaVA-NeXT that also reads clips, frame by frame.

E = hidden_states[vision_feature_layer] without its first row. Image: (tiles, 576, 1024), 3 to 5 tiles. Video: (frames,
576, 1024); the pooling of a frame to 144 rows comes after M and before P, as `vision_resampler`, which has weights only
under spatial_pool_mode=conv. Sources: transformers `models/llava_next_video/modeling_llava_next_video.py`
(get_image_features, get_video_features), llava-vl.github.io/blog/2024-04-30-llava-next-video (no paper of its own).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sea.media import blank_video
from sea.models.families import llava_next
from sea.models.frames import clip, video_processor
from sea.models.spec import Family

VIDEO = replace(
    llava_next.IMAGE,
    argument="pixel_values_videos",
    wire="1T1ND",
    companions=(),
    media=clip,
    blank=blank_video,
    placeholder=lambda processor: str(processor.video_token),
)
FAMILY = Family(modalities={"image": llava_next.IMAGE, "video": VIDEO})


def tiny() -> tuple[Any, Any]:
    """A random-weight model and a real processor, built offline: 3 CLIP layers, 16 rows a tile, 2 Llama layers."""
    import transformers

    from sea.models.tiny import initialise, language, tokenizer, vision

    tokens = tokenizer(image_token="<image>", video_token="<video>")
    edge, size, grid = {"shortest_edge": 32}, {"height": 32, "width": 32}, [[32, 64], [64, 64], [96, 64]]
    config = transformers.LlavaNextVideoConfig(
        vision_config=transformers.CLIPVisionConfig(**vision(num_hidden_layers=3)),
        text_config=transformers.LlamaConfig(**language(tokens)),
        image_token_index=tokens.convert_tokens_to_ids("<image>"),
        video_token_index=tokens.convert_tokens_to_ids("<video>"),
        image_grid_pinpoints=grid,
    )
    processor = transformers.LlavaNextVideoProcessor(
        video_processor=video_processor("LlavaNextVideoVideoProcessor", size=edge, crop_size=size),
        image_processor=transformers.LlavaNextImageProcessorPil(size=edge, crop_size=size, image_grid_pinpoints=grid),
        tokenizer=tokens,
        patch_size=8,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=tokens.chat_template,
    )
    return initialise(transformers.LlavaNextVideoForConditionalGeneration(config)), processor
