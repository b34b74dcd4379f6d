"""Granite Speech (`GraniteSpeechForConditionalGeneration`): a conformer on pairs of mel frames; P is a window Q-Former.

E = last_hidden_state of the encoder: (frames, 1024), 50 frames a second, (1500, 1024) for 30 s. P reads them in windows
of 15, filled up with zeros, and gives 3 rows for each; so zeros at the end of E are what P itself adds, and
`input_features_mask` says how many of P's rows are the medium's. The processor's own batches of sounds of unlike length
are not used: its encoder sees the filling. Sources: transformers `models/granite_speech/modeling_granite_speech.py`
(GraniteSpeechModel.get_audio_features), arXiv 2505.08699.

Checkpoints need torchaudio for their feature extractor. Those with a LoRA adapter of their own for speech
(`has_lora_adapter`) are unverified, as is everything about their words.
"""

from __future__ import annotations

from typing import Any

from sea.console import SeaError
from sea.media import Sound, silence
from sea.models.spec import Family, Modality

RATE = 16_000  # of the feature extractor, which takes samples of any rate and does not ask


def _heard(sound: Sound) -> dict[str, Any]:
    if sound.rate != RATE:
        raise SeaError(
            f"a sound of {sound.rate} samples a second: this model hears {RATE}; type model.blank.rate={RATE}"
        )
    return {"audio": [sound.samples_T]}


FAMILY = Family(
    modalities={
        "audio": Modality(
            argument="input_features",
            encoder="encoder",
            projector="projector",
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
    """A random-weight model and a real processor, built offline: 2 conformer layers, 3 rows for 15 frames, 2 layers."""
    import transformers

    from sea.models.tiny import initialise, language, tokenizer

    tokens = tokenizer(audio_token="<|audio|>")
    config = transformers.GraniteSpeechConfig(
        encoder_config=transformers.GraniteSpeechEncoderConfig(
            input_dim=20,
            num_layers=2,
            hidden_dim=32,
            feedforward_mult=2,
            num_heads=4,
            dim_head=8,
            output_dim=12,
            context_size=20,
            max_pos_emb=32,
            conv_kernel_size=3,
        ),
        projector_config=transformers.Blip2QFormerConfig(
            hidden_size=32,
            num_hidden_layers=1,
            num_attention_heads=4,
            intermediate_size=48,
            encoder_hidden_size=32,
            cross_attention_frequency=1,
        ),
        text_config=transformers.GraniteConfig(
            **language(
                tokens, embedding_multiplier=3.0, residual_multiplier=2.0, attention_multiplier=0.5, logits_scaling=4.0
            )
        ),
        audio_token_index=tokens.convert_tokens_to_ids("<|audio|>"),
        has_lora_adapter=False,
        tie_word_embeddings=False,  # tied random weights say the last token again, whatever is heard
    )
    processor = transformers.GraniteSpeechProcessor(
        audio_processor=_feature_extractor(), tokenizer=tokens, chat_template=tokens.chat_template
    )
    return initialise(transformers.GraniteSpeechForConditionalGeneration(config)), processor


def _feature_extractor(mels: int = 10) -> Any:
    """The family's own but for the mel spectrogram, which is torchaudio's there, and transformers' here.

    torchaudio's wheel on PyPI is built for CUDA and does not load beside a CPU torch.
    """
    import numpy as np
    import torch
    from transformers import BatchFeature, GraniteSpeechFeatureExtractor, SequenceFeatureExtractor
    from transformers.audio_utils import mel_filter_bank, spectrogram, window_function

    class WithoutTorchaudio(GraniteSpeechFeatureExtractor):
        def __init__(self) -> None:
            SequenceFeatureExtractor.__init__(self, feature_size=mels, sampling_rate=RATE, padding_value=0.0)
            self.melspec_kwargs = {"hop_length": 160}
            self.projector_window_size, self.projector_downsample_rate = 15, 5
            self.filters = mel_filter_bank(257, mels, 0.0, RATE / 2, RATE)

        def __call__(self, audios: Any, device: str | None = "cpu") -> Any:
            samples_BT, lengths = self._get_audios_and_audio_lengths(audios)
            window = window_function(400, "hann")
            options = {"fft_length": 512, "power": 2.0, "mel_filters": self.filters, "log_mel": "log10"}
            mels_BMF = np.stack([spectrogram(row, window, 400, 160, **options) for row in samples_BT.double().numpy()])
            frames_BFM = torch.tensor(mels_BMF, dtype=torch.float32).mT[:, : mels_BMF.shape[2] // 2 * 2]
            sizes = self._get_num_audio_features(lengths)
            return BatchFeature(
                {
                    "input_features": frames_BFM.reshape(len(lengths), -1, 2 * mels),
                    "audio_embed_sizes": sizes,
                    "input_features_mask": torch.arange(max(sizes))[None] < torch.tensor(sizes)[:, None],
                }
            )

    return WithoutTorchaudio()
