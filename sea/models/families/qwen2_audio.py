"""Qwen2-Audio (`Qwen2AudioForConditionalGeneration`): a Whisper encoder with average pooling inside M; P is one layer.

E = last_hidden_state of the audio tower: (750, 1280), for 30 s however long the sound is. What is shorter is filled up
with silence, and the rows after it (`feature_attention_mask` says where it ends) are cut off after P. So rows that no
token reads lie in the E of a short sound; the blank sound fills the window to have none. Longer sounds are cut by the
processor. Sources: transformers `models/qwen2_audio/modeling_qwen2_audio.py` (Qwen2AudioModel.forward), arXiv
2407.10759.
"""

from __future__ import annotations

from typing import Any

from sea.media import silence
from sea.models.spec import Family, Modality

FAMILY = Family(
    modalities={
        "audio": Modality(
            argument="input_features",
            encoder="audio_tower",
            projector="multi_modal_projector",
            emitter="last",
            wire="1ND",
            companions=("feature_attention_mask",),
            padded=True,
            media=lambda sound: {"audio": [sound.samples_T], "sampling_rate": sound.rate},
            blank=silence,
            placeholder=lambda processor: str(processor.audio_token),
        )
    },
)


def tiny() -> tuple[Any, Any]:
    """A random-weight model and a real processor, built offline: a window of 1 s and 25 rows, 2 Qwen2 layers."""
    import transformers

    from sea.models.tiny import initialise, language, tokenizer

    tokens = tokenizer(audio_token="<|AUDIO|>", audio_bos_token="<|audio_bos|>", audio_eos_token="<|audio_eos|>")
    config = transformers.Qwen2AudioConfig(
        audio_config=transformers.Qwen2AudioEncoderConfig(
            num_mel_bins=16,
            d_model=32,
            encoder_ffn_dim=48,
            encoder_layers=2,
            encoder_attention_heads=4,
            max_source_positions=50,
        ),
        text_config=transformers.Qwen2Config(**language(tokens)),
        audio_token_index=tokens.convert_tokens_to_ids("<|AUDIO|>"),
    )
    processor = transformers.Qwen2AudioProcessor(
        feature_extractor=transformers.WhisperFeatureExtractor(feature_size=16, chunk_length=1),
        tokenizer=tokens,
        chat_template=tokens.chat_template,
    )
    return initialise(transformers.Qwen2AudioForConditionalGeneration(config)), processor
