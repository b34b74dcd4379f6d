"""LLaVA-OneVision (`LlavaOnevisionForConditionalGeneration`): SigLIP on tiles of a picture or frames of a clip; P: MLP.

E = hidden_states[vision_feature_layer]. Image: (tiles, 729, 1152), the whole picture and the tiles of the grid that
fits it best: 2 for 384 x 384, up to 37. Video: (frames, 729, 1152). Unpadding, the shrinking of large grids, newlines
and the pooling of a frame to 196 rows come after P. Sources: transformers
`models/llava_onevision/modeling_llava_onevision.py` (get_image_features, get_video_features), arXiv 2408.03326.
"""

from __future__ import annotations

from typing import Any

from sea.models.families import llava_next_video
from sea.models.frames import video_processor
from sea.models.spec import Family

# One picture a prompt: several in one would not be tiled. The library then needs no `batch_num_images`.
FAMILY = Family(modalities=llava_next_video.FAMILY.modalities)


def tiny() -> tuple[Any, Any]:
    """A random-weight model and a real processor, built offline: 2 SigLIP layers, 16 rows a tile, 2 Qwen2 layers."""
    import transformers

    from sea.models.tiny import initialise, language, tokenizer, vision

    tokens = tokenizer(image_token="<image>", video_token="<video>")
    size, grid = {"height": 32, "width": 32}, [[32, 64], [64, 64], [96, 64]]
    config = transformers.LlavaOnevisionConfig(
        vision_config=transformers.SiglipVisionConfig(**vision(vision_use_head=False)),
        text_config=transformers.Qwen2Config(**language(tokens)),
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
