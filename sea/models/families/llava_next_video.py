"""LLaVA-NeXT-Video (`LlavaNextVideoForConditionalGeneration`): LLaVA-NeXT that also reads clips, frame by frame.

E = hidden_states[vision_feature_layer] without its first row. Image: (tiles, 576, 1024), 3 to 5 tiles. Video: (frames,
576, 1024); the pooling of a frame to 144 rows comes after M and before P, as `vision_resampler`, which has weights only
under spatial_pool_mode=conv. Sources: transformers `models/llava_next_video/modeling_llava_next_video.py`
(get_image_features, get_video_features), llava-vl.github.io/blog/2024-04-30-llava-next-video (no paper of its own).
"""

from __future__ import annotations

from functools import partial
from typing import Any

from sea.media import blank_image, blank_video
from sea.models.frames import clip, video_processor
from sea.models.spec import Family, Modality

VISION = partial(
    Modality,
    encoder="vision_tower",
    projector="multi_modal_projector",
    emitter="hidden",
    layers=lambda config: config.vision_feature_layer,
    first_row_dropped=lambda config: config.vision_feature_select_strategy == "default",
)
FAMILY = Family(
    modalities={
        "image": VISION(
            argument="pixel_values",
            wire="T1ND",
            companions=("image_sizes",),  # how many tiles are whose, and what of them is padding
            media=lambda image: {"images": [[image]]},
            blank=blank_image,
            placeholder=lambda processor: str(processor.image_token),
        ),
        "video": VISION(
            argument="pixel_values_videos",
            wire="1T1ND",
            media=clip,
            blank=blank_video,
            placeholder=lambda processor: str(processor.video_token),
        ),
    },
)


def tiny() -> tuple[Any, Any]:
    """A random-weight model and a real processor, built offline: 3 CLIP layers, 16 rows a tile, 2 Llama layers."""
    import transformers

    from sea.models.tiny import initialise, tokenizer

    tokens = tokenizer(image_token="<image>", video_token="<video>")
    edge, size, grid = {"shortest_edge": 32}, {"height": 32, "width": 32}, [[32, 64], [64, 64], [96, 64]]
    config = transformers.LlavaNextVideoConfig(
        vision_config=transformers.CLIPVisionConfig(
            hidden_size=32,
            intermediate_size=48,
            num_hidden_layers=3,
            num_attention_heads=4,
            image_size=32,
            patch_size=8,
        ),
        text_config=transformers.LlamaConfig(
            vocab_size=len(tokens),
            hidden_size=64,
            intermediate_size=96,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=512,
            pad_token_id=tokens.pad_token_id,
            bos_token_id=tokens.bos_token_id,
            eos_token_id=tokens.eos_token_id,
        ),
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
