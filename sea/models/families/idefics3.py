"""Idefics3 (`Idefics3ForConditionalGeneration`): every tile of the image is encoded; P shuffles pixels and projects.

E = last_hidden_state of all tiles, the small whole image the last: (tiles, 676, 1152) for Idefics3-8B, which P shuffles
to 169 tokens a tile. The model drops tiles that are zero all through, before M, so images of different tilings lie in
one batch filled up with zeros. Tiles are always full, so the processor's `pixel_attention_mask` says nothing that the
model would not assume, and does not travel. Sources: transformers `models/idefics3/modeling_idefics3.py`
(get_image_features), arXiv 2408.12637.
"""

from __future__ import annotations

from typing import Any

from sea.media import blank_image
from sea.models.spec import Family, Modality

IMAGE = Modality(
    argument="pixel_values",
    encoder="vision_model",
    projector="connector",
    emitter="last",
    wire="1T1ND",
    padded=True,
    media=lambda image: {"images": [[image]]},
    blank=blank_image,
    placeholder=lambda processor: str(processor.image_token),
)
LORA = r".*text_model\.layers\..*\.(q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj)"
FAMILY = Family(modalities={"image": IMAGE}, lora=LORA)


def tiny() -> tuple[Any, Any]:
    """A random-weight model and a real processor, built offline: tiles of 16 rows, 4 tokens each, 2 Llama layers."""
    import transformers
    from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil

    from sea.models.tiny import initialise, language, tokenizer, vision

    tokens = tokenizer(
        image_token="<image>",
        fake_image_token="<fake_token_around_image>",
        global_image_token="<global-img>",
        end_of_utterance_token="<end_of_utterance>",
    )
    config = transformers.Idefics3Config(
        vision_config=transformers.Idefics3VisionConfig(**vision()),
        text_config=transformers.LlamaConfig(**language(tokens)),
        scale_factor=2,
        image_token_id=tokens.convert_tokens_to_ids("<image>"),
        pad_token_id=tokens.pad_token_id,
    )
    processor = transformers.Idefics3Processor(
        image_processor=Idefics3ImageProcessorPil(size={"longest_edge": 96}, max_image_size={"longest_edge": 32}),
        tokenizer=tokens,
        image_seq_len=4,
        chat_template=tokens.chat_template,
    )
    return initialise(transformers.Idefics3ForConditionalGeneration(config)), processor
