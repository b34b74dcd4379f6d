"""Gemma 3 (`Gemma3ForConditionalGeneration`): the last hidden state of SigLIP; P pools, normalises and projects.

E = last_hidden_state: (4096, 1152) for gemma-3-4b, which P pools to 256 tokens. The image's tokens attend to each other
in both directions, in layers with a sliding window only within it. Pan and scan (crops of one image, off by default)
is not read. Sources: transformers `models/gemma3/modeling_gemma3.py` (get_image_features,
create_masks_for_vision_model), arXiv 2503.19786.
"""

from __future__ import annotations

from typing import Any

from sea.media import blank_image
from sea.models.spec import Family, Modality

FAMILY = Family(
    modalities={
        "image": Modality(
            argument="pixel_values",
            encoder="vision_tower",
            projector="multi_modal_projector",
            emitter="last",
            wire="1ND",
            media=lambda image: {"images": [[image]]},
            blank=blank_image,
            placeholder=lambda processor: str(processor.boi_token),
            token=lambda processor: str(processor.tokenizer.image_token),
            token_types=("token_type_ids", 1),
            slot_sees_itself=lambda config: ("full_attention", "sliding_attention"),
        )
    },
)


def tiny() -> tuple[Any, Any]:
    """A random-weight model and a real processor, built offline: 2 SigLIP layers, 16 rows of E pooled to 4 tokens.

    Three Gemma layers of both kinds: what a picture's tokens see in the last one reaches no answer. The window of 3
    tokens is shorter than the picture.
    """
    import transformers
    from transformers.models.gemma3.image_processing_pil_gemma3 import Gemma3ImageProcessorPil

    from sea.models.tiny import initialise, language, tokenizer, vision

    tokens = tokenizer(image_token="<image_soft_token>", boi_token="<start_of_image>", eoi_token="<end_of_image>")
    # The template writes the start of the image; the processor puts the image's tokens behind it.
    template = tokens.chat_template.replace("<image_soft_token>", "<start_of_image>")
    config = transformers.Gemma3Config(
        vision_config=transformers.SiglipVisionConfig(**vision()),
        text_config=transformers.Gemma3TextConfig(
            **language(
                tokens,
                num_hidden_layers=3,
                head_dim=16,
                sliding_window=3,
                layer_types=["sliding_attention", "full_attention", "sliding_attention"],
            )
        ),
        mm_tokens_per_image=4,
        boi_token_index=tokens.convert_tokens_to_ids("<start_of_image>"),
        eoi_token_index=tokens.convert_tokens_to_ids("<end_of_image>"),
        image_token_index=tokens.convert_tokens_to_ids("<image_soft_token>"),
        image_token_id=tokens.convert_tokens_to_ids("<image_soft_token>"),
    )
    processor = transformers.Gemma3Processor(
        image_processor=Gemma3ImageProcessorPil(size={"height": 32, "width": 32}),
        tokenizer=tokens,
        image_seq_length=4,
        chat_template=template,
    )
    return initialise(transformers.Gemma3ForConditionalGeneration(config), seed=1), processor
