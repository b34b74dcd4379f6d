"""Audio Flamingo 3 (`AudioFlamingo3ForConditionalGeneration`): Whisper with average pooling inside M; P: an MLP.

E = last_hidden_state of the audio tower: (750, 1280), for 30 s however long the sound is. `input_features_mask` says
where it ends; M does not listen beyond, and the rows after it are cut off after P, so no token reads them. The blank
sound fills the window to have none. A sound of several windows would have several masks: it is refused. Sources:
transformers `models/audioflamingo3/modeling_audioflamingo3.py` (get_audio_features), arXiv 2507.08128.
"""

from __future__ import annotations

from typing import Any

from sea.console import SeaError
from sea.media import Sound, silence
from sea.models.spec import Family, Modality

WINDOW = 30  # seconds, of every checkpoint's feature extractor


def _heard(sound: Sound) -> dict[str, Any]:
    if len(sound.samples_T) > WINDOW * sound.rate:
        raise SeaError(
            f"a sound of {len(sound.samples_T) / sound.rate:.1f} s: this family file takes one window of {WINDOW} s; "
            f"type model.blank.seconds={WINDOW}, and cut longer sounds"
        )
    return {"audio": [sound.samples_T], "sampling_rate": sound.rate}


FAMILY = Family(
    modalities={
        "audio": Modality(
            argument="input_features",
            encoder="audio_tower",
            projector="multi_modal_projector",
            emitter="last",
            wire="1ND",
            companions=("input_features_mask",),
            padded=True,
            media=_heard,
            blank=silence,
            placeholder=lambda processor: str(processor.audio_token),
        )
    },
)


def tiny() -> tuple[Any, Any]:
    """A random-weight model and a real processor, built offline: a window of 1 s and 25 rows, 2 Qwen2 layers."""
    import transformers

    from sea.models.tiny import initialise, language, tokenizer

    tokens = tokenizer(audio_token="<sound>")
    config = transformers.AudioFlamingo3Config(
        audio_config=transformers.AudioFlamingo3EncoderConfig(
            num_mel_bins=16,
            hidden_size=32,
            intermediate_size=48,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_source_positions=50,
        ),
        text_config=transformers.Qwen2Config(**language(tokens)),
        audio_token_id=tokens.convert_tokens_to_ids("<sound>"),
    )
    processor = transformers.AudioFlamingo3Processor(
        feature_extractor=transformers.WhisperFeatureExtractor(feature_size=16, chunk_length=1),
        tokenizer=tokens,
        chat_template=tokens.chat_template,
    )
    return initialise(transformers.AudioFlamingo3ForConditionalGeneration(config)), processor
