"""LLaVA-NeXT (`LlavaNextForConditionalGeneration`): LLaVA-1.5's CLIP features of each tile of a picture; P is an MLP.

E = hidden_states[vision_feature_layer] of every tile without its first row: (tiles, 576, 1024), the whole picture and
the tiles of the grid that fits it best: 3 to 5. Unpadding and the newline embedding come after P. Sources: transformers
`models/llava_next/modeling_llava_next.py` (get_image_features), llava-vl.github.io/blog/2024-01-30-llava-next (the
model has no paper of its own).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sea.models.families import llava
from sea.models.spec import Family

# How many tiles are whose, and what of them is padding, is in the sizes of the pictures.
IMAGE = replace(llava.IMAGE, wire="T1ND", companions=("image_sizes",))
FAMILY = Family(modalities={"image": IMAGE})


def tiny() -> tuple[Any, Any]:
    """A random-weight model and a real processor, built offline: 3 CLIP layers, 16 rows a tile, 2 Llama layers."""
    import transformers

    from sea.models.tiny import initialise, language, tokenizer, vision

    tokens = tokenizer(image_token="<image>")
    grid = [[32, 64], [64, 64], [96, 64]]
    config = transformers.LlavaNextConfig(
        vision_config=transformers.CLIPVisionConfig(**vision(num_hidden_layers=3)),
        text_config=transformers.LlamaConfig(**language(tokens)),
        image_token_index=tokens.convert_tokens_to_ids("<image>"),
        image_grid_pinpoints=grid,
    )
    processor = transformers.LlavaNextProcessor(
        image_processor=transformers.LlavaNextImageProcessorPil(
            size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}, image_grid_pinpoints=grid
        ),
        tokenizer=tokens,
        patch_size=8,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=tokens.chat_template,
    )
    return initialise(transformers.LlavaNextForConditionalGeneration(config)), processor
