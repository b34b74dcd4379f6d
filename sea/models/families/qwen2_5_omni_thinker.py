"""Qwen2.5-Omni's thinker (`Qwen2_5OmniThinkerForConditionalGeneration`): the part that listens, sees and writes text.

Image and video: Qwen2.5-VL's encoder and merger, E = (t * h * w, 1280), rows in the order of P's output. The seconds
that a row of a clip's grid stands for travel with E. Audio: a Whisper-like encoder; P is its last layer, `proj`, and E
what goes into it, a row per 40 ms, (750, 1280) for 30 s. The model cuts sounds by their mel frames before M runs, so E
comes there turned round and filled up to as many rows. A checkpoint holds the whole Omni; the thinker is what is loaded
of it. Sources: transformers `models/qwen2_5_omni/modeling_qwen2_5_omni.py` (Qwen2_5OmniThinkerModel,
get_audio_features), arXiv 2503.20215.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sea.media import silence
from sea.models.families import qwen2_5_vl, qwen2_vl
from sea.models.frames import clip
from sea.models.spec import Family, Modality

IMAGE = replace(qwen2_vl.IMAGE, token_types=None)  # positions follow from the ids here
VIDEO = replace(
    qwen2_vl.VIDEO,
    token_types=None,
    companions=("video_grid_thw", "video_second_per_grid"),
    media=lambda video: {**clip(video), "fps": video.fps},  # the processor asks the caller, not the clip's metadata
)
AUDIO = Modality(
    argument="input_features",
    encoder="audio_tower",
    projector="audio_tower.proj",
    emitter="merge",
    wire="1DN",
    companions=("feature_attention_mask",),
    rows=lambda companions: companions["feature_attention_mask"].shape[-1],  # mel frames, which the model counts E by
    media=lambda sound: {"audio": [sound.samples_T], "sampling_rate": sound.rate},
    blank=silence,
    placeholder=lambda processor: str(processor.audio_token),
)
FAMILY = Family(
    modalities={
        "image": replace(IMAGE, order=qwen2_5_vl.raster_order),
        "video": replace(VIDEO, order=qwen2_5_vl.raster_order),
        "audio": replace(AUDIO, padded=True),  # the processor fills every sound up to one length
    },
)
TOKENS = {
    "image_token": "<|IMAGE|>",
    "video_token": "<|VIDEO|>",
    "audio_token": "<|AUDIO|>",
    "vision_bos_token": "<|vision_bos|>",
    "vision_eos_token": "<|vision_eos|>",
    "audio_bos_token": "<|audio_bos|>",
    "audio_eos_token": "<|audio_eos|>",
}


def tiny() -> tuple[Any, Any]:
    """A random-weight model and a real processor, built offline: 3 ViT layers, 2 Whisper layers, 2 Qwen2 layers."""
    import transformers

    from sea.models.tiny import initialise

    processor = tiny_processor("Qwen2_5OmniProcessor")
    parts = transformers.Qwen2_5OmniThinkerConfig.sub_configs
    config = transformers.Qwen2_5OmniThinkerConfig(
        vision_config=parts["vision_config"](
            depth=3,
            hidden_size=32,
            out_hidden_size=64,
            intermediate_size=48,
            num_heads=4,
            window_size=32,
            fullatt_block_indexes=[1],
            **qwen2_vl.PATCHES,
        ),
        audio_config=parts["audio_config"](
            num_mel_bins=16,
            encoder_layers=2,
            encoder_attention_heads=4,
            encoder_ffn_dim=48,
            d_model=32,
            max_source_positions=50,
            n_window=10,
            output_dim=64,
        ),
        text_config=qwen2_vl.tiny_text(parts["text_config"], processor),
        **tiny_ids(processor),
    )
    return initialise(transformers.Qwen2_5OmniThinkerForConditionalGeneration(config)), processor


def tiny_processor(kind: str) -> Any:
    """A processor of transformers for small media, and a chat template with the marks around a medium.

    Args:
        kind: its class.
    """
    import transformers

    from sea.models.frames import video_processor
    from sea.models.tiny import tokenizer

    tokens = tokenizer(**TOKENS)
    medium = "{{ media[p['type']] }}"
    side = "'audio' if p['type'] == 'audio' else 'vision'"
    begin, end = (f"{{{{ media[({side}) ~ '_{mark}'] }}}}" for mark in ("bos", "eos"))
    processor = getattr(transformers, kind)(
        image_processor=transformers.Qwen2VLImageProcessorPil(**qwen2_vl.MEDIA),
        tokenizer=tokens,
        video_processor=video_processor("Qwen2VLVideoProcessor", cap_pixels_per_frame=False, **qwen2_vl.MEDIA),
        feature_extractor=transformers.WhisperFeatureExtractor(feature_size=16, chunk_length=1),
        chat_template=tokens.chat_template.replace(medium, begin + medium + end),
    )
    # The class says how large the frames of full-size clips are, over what its video processor says.
    processor.videos_kwargs = {"size": qwen2_vl.MEDIA["size"]}
    return processor


def tiny_ids(processor: Any) -> dict[str, int]:
    """The ids that a configuration names the slot's tokens by."""
    names = {
        "image_token": "image_token_id",
        "video_token": "video_token_id",
        "audio_token": "audio_token_id",
        "vision_bos_token": "vision_start_token_id",
        "vision_eos_token": "vision_end_token_id",
        "audio_bos_token": "audio_start_token_id",
        "audio_eos_token": "audio_end_token_id",
    }
    return {name: processor.tokenizer.convert_tokens_to_ids(TOKENS[token]) for token, name in names.items()}
