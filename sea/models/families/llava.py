"""LLaVA-1.5 and its like (`LlavaForConditionalGeneration`): features of one CLIP layer, CLS dropped; P is an MLP.

E = hidden_states[vision_feature_layer] without its first row: (576, 1024) for LLaVA-1.5. Sources: transformers
`models/llava/modeling_llava.py` (get_image_features), arXiv 2310.03744.
"""

from __future__ import annotations

from typing import Any

from sea.media import blank_image
from sea.models.spec import Family, Modality

IMAGE = Modality(
    argument="pixel_values",
    encoder="vision_tower",
    projector="multi_modal_projector",
    emitter="hidden",
    wire="1ND",
    layers=lambda config: config.vision_feature_layer,
    first_row_dropped=lambda config: config.vision_feature_select_strategy == "default",
    media=lambda image: {"images": [[image]]},
    blank=blank_image,
    placeholder=lambda processor: str(processor.image_token),
)
FAMILY = Family(modalities={"image": IMAGE})


def tiny() -> tuple[Any, Any]:
    """A random-weight model and a real processor, built offline: 3 CLIP layers, 16 image tokens, 2 Llama layers."""
    import transformers

    from sea.models.tiny import initialise, language, tokenizer, vision

    tokens = tokenizer(image_token="<image>")
    config = transformers.LlavaConfig(
        vision_config=transformers.CLIPVisionConfig(**vision(num_hidden_layers=3)),
        text_config=transformers.LlamaConfig(**language(tokens)),
        image_token_id=tokens.convert_tokens_to_ids("<image>"),
        vision_feature_layer=-2,
        vision_feature_select_strategy="default",
        image_seq_length=16,
    )
    processor = transformers.LlavaProcessor(
        image_processor=transformers.CLIPImageProcessorPil(
            size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}
        ),
        tokenizer=tokens,
        patch_size=8,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=tokens.chat_template,
    )
    return initialise(transformers.LlavaForConditionalGeneration(config)), processor
