"""Video-LLaVA (`VideoLlavaForConditionalGeneration`): an encoder for pictures and one for frames; one P, an MLP.

E = hidden_states[vision_feature_layer]. Image: (256, 1024), CLS dropped. Video: (frames, 257, 1024) with CLS, which the
code for videos keeps; trained on 8 frames. Sources: transformers `models/video_llava/modeling_video_llava.py`
(get_image_features, get_video_features), arXiv 2311.10122.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from sea.media import blank_image, blank_video
from sea.models.frames import clip, video_processor
from sea.models.spec import Family, Modality

VISION = partial(
    Modality,
    projector="multi_modal_projector",
    emitter="hidden",
    layers=lambda config: config.vision_feature_layer,
)
FAMILY = Family(
    modalities={
        "image": VISION(
            argument="pixel_values",
            encoder="image_tower",
            wire="1ND",
            first_row_dropped=lambda config: config.vision_feature_select_strategy == "default",
            # Unasked, the image processor still names its output as the model no longer does.
            media=lambda image: {"images": [[image]], "return_legacy_image_output": False},
            blank=blank_image,
            placeholder=lambda processor: str(processor.image_token),
        ),
        "video": VISION(
            argument="pixel_values_videos",
            encoder="video_tower",
            wire="1T1ND",
            media=clip,
            blank=blank_video,
            placeholder=lambda processor: str(processor.video_token),
        ),
    },
)


def tiny() -> tuple[Any, Any]:
    """A random-weight model and a real processor, built offline: 3 CLIP layers, 16 rows a frame, 2 Llama layers."""
    import transformers

    from sea.models.tiny import initialise, language, tokenizer, vision

    tokens = tokenizer(image_token="<image>", video_token="<video>")
    edge, size = {"shortest_edge": 32}, {"height": 32, "width": 32}
    config = transformers.VideoLlavaConfig(
        vision_config=transformers.CLIPVisionConfig(**vision(num_hidden_layers=3)),
        text_config=transformers.LlamaConfig(**language(tokens)),
        image_token_index=tokens.convert_tokens_to_ids("<image>"),
        video_token_index=tokens.convert_tokens_to_ids("<video>"),
    )
    processor = transformers.VideoLlavaProcessor(
        image_processor=transformers.VideoLlavaImageProcessor(size=edge, crop_size=size),
        video_processor=video_processor("VideoLlavaVideoProcessor", size=edge, crop_size=size),
        tokenizer=tokens,
        patch_size=8,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=tokens.chat_template,
    )
    return initialise(transformers.VideoLlavaForConditionalGeneration(config)), processor
