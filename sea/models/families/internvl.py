"""InternVL 3 (`InternVLForConditionalGeneration`): InternViT on crops of a picture or frames of a clip; P is an MLP.

E = hidden_states[vision_feature_layer] without its first row (CLS): (crops, 1024, 1024) for the encoder of 300M, 1 to
12 crops and, beside several, the whole picture; or (frames, 1024, 1024). A pixel shuffle to 256 rows lies between M and
P. A clip is a picture a frame: it travels in the pictures' argument, a prompt names its frames ("Frame1: ...").
Sources: transformers `models/internvl/modeling_internvl.py` (get_image_features), arXiv 2504.10479.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from sea.console import SeaError
from sea.media import blank_image, blank_video
from sea.models.frames import clip, video_processor
from sea.models.spec import Family, Modality


def _layer(config: Any) -> int:
    """The hidden state that E is.

    Raises:
        SeaError: it is not among the hidden states.
    """
    if config.vision_feature_layer == -1 and not config.vision_config.use_mean_pooling:
        raise SeaError(
            "this checkpoint has vision_config.use_mean_pooling=false: its P reads the encoder's output after a norm, "
            "which is none of the hidden states that SEA takes E from. OpenGVLab's InternVL3 checkpoints have no such "
            "norm: type the id of one of them (their names end in -hf)"
        )
    return int(config.vision_feature_layer)


VISION = partial(
    Modality,
    argument="pixel_values",
    encoder="vision_tower",
    projector="multi_modal_projector",
    emitter="hidden",
    wire="TND",
    layers=_layer,
    first_row_dropped=lambda config: config.vision_feature_select_strategy == "default",
    token=lambda processor: str(processor.image_token),
)
FAMILY = Family(
    modalities={
        "image": VISION(
            media=lambda image: {"images": [[image]]},
            blank=blank_image,
            placeholder=lambda processor: str(processor.image_token),
        ),
        "video": VISION(
            media=clip,
            blank=blank_video,
            placeholder=lambda processor: str(processor.video_token),
        ),
    },
)


def tiny() -> tuple[Any, Any]:
    """A random-weight model and a real processor, built offline: 2 InternViT layers, up to 4 crops, 2 Qwen2 layers."""
    import transformers

    from sea.models.tiny import initialise, language, tokenizer, vision

    tokens = tokenizer(
        image_token="<IMG_CONTEXT>",
        context_image_token="<IMG_CONTEXT>",
        start_image_token="<img>",
        end_image_token="</img>",
        video_token="<video>",
    )
    size = {"height": 32, "width": 32}
    config = transformers.InternVLConfig(
        vision_config=transformers.InternVLVisionConfig(**vision()),
        text_config=transformers.Qwen2Config(**language(tokens)),
        image_token_id=tokens.convert_tokens_to_ids("<IMG_CONTEXT>"),
        image_seq_length=4,
        tie_word_embeddings=False,  # tied, random weights repeat one token whatever they see
    )
    processor = transformers.InternVLProcessor(
        image_processor=transformers.GotOcr2ImageProcessorPil(size=size, max_patches=4),
        tokenizer=tokens,
        video_processor=video_processor("InternVLVideoProcessor", size=size),
        image_seq_length=4,
        chat_template=tokens.chat_template,
    )
    return initialise(transformers.InternVLForConditionalGeneration(config)), processor
