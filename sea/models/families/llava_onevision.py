"""LLaVA-OneVision (`LlavaOnevisionForConditionalGeneration`): SigLIP on tiles of a picture or frames of a clip; P: MLP.

E = hidden_states[vision_feature_layer]. Image: (tiles, 729, 1152), the whole picture and the tiles of the grid that
fits it best: 2 for 384 x 384, up to 37. Video: (frames, 729, 1152). Unpadding, the shrinking of large grids, newlines
and the pooling of a frame to 196 rows come after P. Sources: transformers
`models/llava_onevision/modeling_llava_onevision.py` (get_image_features, get_video_features), arXiv 2408.03326.
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
            media=lambda image: {"images": [[image]]},  # a list a prompt: several pictures in one would not be tiled
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
    """A random-weight model and a real processor, built offline: 2 SigLIP layers, 16 rows a tile, 2 Qwen2 layers."""
    import transformers

    from sea.models.tiny import initialise, tokenizer

    tokens = tokenizer(image_token="<image>", video_token="<video>")
    size, grid = {"height": 32, "width": 32}, [[32, 64], [64, 64], [96, 64]]
    config = transformers.LlavaOnevisionConfig(
        vision_config=transformers.SiglipVisionConfig(
            hidden_size=32,
            intermediate_size=48,
            num_hidden_layers=2,
            num_attention_heads=4,
            image_size=32,
            patch_size=8,
            vision_use_head=False,
        ),
        text_config=transformers.Qwen2Config(
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
    processor = transformers.LlavaOnevisionProcessor(
        image_processor=transformers.LlavaOnevisionImageProcessorPil(size=size, image_grid_pinpoints=grid),
        tokenizer=tokens,
        video_processor=video_processor("LlavaOnevisionVideoProcessor", size=size),
        num_image_tokens=16,
        vision_feature_select_strategy="full",
        chat_template=tokens.chat_template,
    )
    return initialise(transformers.LlavaOnevisionForConditionalGeneration(config)), processor
