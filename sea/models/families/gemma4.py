"""Gemma 4 (`Gemma4ForConditionalGeneration`): M is the vision tower up to its pooled tokens, or the audio tower.

Image: E = last_hidden_state, one row a token of the slot: for gemma-4-E2B (280 at most, 768). M leaves out the rows of
padding, and the code after it derives their number from the argument's shape: E travels filled up to as many rows as
the processor gives patches (2520). Video: the same of each frame, (frames * 70 at most, 768); the library's video
processor calls torchvision, so the frames go through the image processor, with the video's number of tokens. Audio:
E = last_hidden_state, 25 rows a second, (750, 1536) for 30 s; the code after P leaves out the rows of padding. P
normalises and projects. Where the tokens of a picture attend to each other in both directions (not in the small models)
they do so in the layers with a sliding window alone. Sources: transformers `models/gemma4/modeling_gemma4.py`
(get_image_features, get_audio_features, create_masks_for_vision_model) and `processing_gemma4.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from transformers.video_utils import VideoMetadata

from sea.media import Video, blank_image, blank_video, silence
from sea.models.frames import metadata
from sea.models.spec import SLOT_TEXT, Family, Modality

VIDEO_TOKENS = 70  # at most, a frame: the default of the library's video processor


def _both_ways(config: Any) -> tuple[str, ...]:
    """The kinds of layers in which the tokens of an image see each other: none in the small models."""
    return ("sliding_attention",) if config.get_text_config().use_bidirectional_attention == "vision" else ()


def _clip(processor: Any, video: Video) -> Mapping[str, Any]:
    tokens = getattr(processor.video_processor, "max_soft_tokens", VIDEO_TOKENS)
    made = processor.image_processor(video.frames, max_soft_tokens=tokens, return_tensors="pt")
    said = {
        "num_soft_tokens_per_video": made["num_soft_tokens_per_image"][:1],  # frames are of one size
        "video_metadata": [VideoMetadata(**metadata(len(video.frames), video.fps))],
    }
    return {
        "pixel_values_videos": made["pixel_values"],
        "video_position_ids": made["image_position_ids"],
        "num_frames_per_video": torch.tensor([len(video.frames)]),
        SLOT_TEXT: processor.replace_video_token(said, 0),
    }


IMAGE = Modality(
    argument="pixel_values",
    encoder="vision_tower",
    projector="embed_vision",
    emitter="last",
    wire="1ND",
    padded=True,
    rows=lambda companions: int(companions["image_position_ids"].shape[-2]),
    companions=("image_position_ids",),
    media=lambda image: {"images": [[image]]},
    blank=blank_image,
    placeholder=lambda processor: str(processor.image_token),
    token_types=("mm_token_type_ids", 1),
    slot_sees_itself=_both_ways,
)
FAMILY = Family(
    modalities={
        "image": IMAGE,
        "video": replace(
            IMAGE,
            argument="pixel_values_videos",
            wire="ND",
            padded=False,
            rows=lambda companions: 0,  # the argument's shape is not read
            companions=("video_position_ids", "num_frames_per_video"),
            listed=("video_position_ids",),
            process=_clip,
            blank=blank_video,
            placeholder=lambda processor: str(processor.video_token),
            token_types=("mm_token_type_ids", 2),
        ),
        "audio": Modality(
            argument="input_features",
            encoder="audio_tower",
            projector="embed_audio",
            emitter="last",
            wire="1ND",
            padded=True,
            # As the two convolutions of stride 2 do (Gemma4AudioSubSampleConvProjectionLayer).
            beside_output=lambda config, inputs: {"attention_mask": inputs["attention_mask"][:, ::2][:, ::2]},
            companions=("input_features_mask",),
            media=lambda sound: {"audio": [sound.samples_T], "sampling_rate": sound.rate},
            blank=silence,
            placeholder=lambda processor: str(processor.audio_token),
            token_types=("mm_token_type_ids", 3),
        ),
    },
)


def tiny() -> tuple[Any, Any]:
    """A random-weight model and a real processor, built offline: 70 image tokens at most, 5 layers of both kinds.

    The upper two take keys and values from the two below, as in the small models; the image's tokens see each other, as
    in the large ones, within a window of 5 that is shorter than the image.
    """
    import transformers
    from transformers.models.gemma4.image_processing_pil_gemma4 import Gemma4ImageProcessorPil

    from sea.models.frames import NoVideo
    from sea.models.tiny import initialise, language, tokenizer

    media = {"image_token": "<|image|>", "audio_token": "<|audio|>", "video_token": "<|video|>"}
    ends = {"boi_token": "<|image>", "eoi_token": "<image|>", "boa_token": "<|audio>", "eoa_token": "<audio|>"}
    tokens = tokenizer(**media, **ends)
    config = transformers.Gemma4Config(
        text_config=transformers.Gemma4TextConfig(
            **language(
                tokens,
                vocab_size_per_layer_input=len(tokens),
                hidden_size_per_layer_input=8,
                num_hidden_layers=5,
                num_kv_shared_layers=2,
                head_dim=16,
                global_head_dim=32,
                sliding_window=5,
                layer_types=[
                    "full_attention",
                    "sliding_attention",
                    "full_attention",
                    "sliding_attention",
                    "full_attention",
                ],
                use_bidirectional_attention="vision",
            )
        ),
        vision_config=transformers.Gemma4VisionConfig(
            hidden_size=32,
            intermediate_size=48,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=4,
            head_dim=8,
            patch_size=4,
            position_embedding_size=256,
        ),
        audio_config=transformers.Gemma4AudioConfig(
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=4,
            subsampling_conv_channels=[16, 8],
            output_proj_dims=48,
        ),
        **{f"{name}_id": tokens.convert_tokens_to_ids(token) for name, token in media.items()},
    )
    processor = transformers.Gemma4Processor(
        feature_extractor=transformers.Gemma4AudioFeatureExtractor(feature_size=16),
        image_processor=Gemma4ImageProcessorPil(patch_size=4, max_soft_tokens=70, pooling_kernel_size=3),
        tokenizer=tokens,
        video_processor=NoVideo("Gemma4VideoProcessor"),
        chat_template=tokens.chat_template,
    )
    model: Any = initialise(transformers.Gemma4ForConditionalGeneration(config))
    model.model.audio_tower.output_proj.weight.data *= 8  # P divides by E's size: gradients as small as the pictures'
    return model, processor
