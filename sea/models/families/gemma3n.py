"""Gemma 3n (`Gemma3nForConditionalGeneration`): M is the audio tower; P normalises and projects.

E = last_hidden_state: (up to 188, 1536), 6.25 rows a second. The slot always has 188 tokens: the code after P fills up
what a shorter sound leaves, and what M's mask calls padding, with an embedding of its own. Images are not read here:
their tower comes from timm, which needs torchvision (it is also needed to load the checkpoint at all). Sources:
transformers `models/gemma3n/modeling_gemma3n.py` (Gemma3nAudioEncoder, get_audio_features) and
`processing_gemma3n.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

import torch
from torch import Tensor

from sea.media import silence
from sea.models.spec import Family, Modality


def _mask(config: Any, inputs: Mapping[str, Any]) -> Mapping[str, Tensor]:
    """Which rows of E are padding, as M finds it: by the frame at which a row's sound starts."""
    audio = config.audio_config
    stride = prod(time for time, _ in audio.sscp_conv_stride_size) * audio.conf_reduction_factor
    emb_BND, mask_BT = inputs["audio_mel"], inputs["audio_mel_mask"]
    starts_N = torch.arange(emb_BND.shape[1], device=mask_BT.device) * stride
    return {"audio_mel_mask": mask_BT[:, starts_N.clamp(max=mask_BT.shape[1] - 1)]}


FAMILY = Family(
    modalities={
        "audio": Modality(
            argument="input_features",
            encoder="audio_tower",
            projector="embed_audio",
            emitter="last",
            wire="1ND",
            padded=True,
            beside_output=_mask,
            companions=("input_features_mask",),
            media=lambda sound: {"audio": [sound.samples_T], "sampling_rate": sound.rate},
            blank=silence,
            placeholder=lambda processor: str(processor.audio_token),
            token_types=("token_type_ids", 3),
        ),
    },
)


def tiny() -> tuple[Any, Any]:
    """A random-weight model and a real processor, built offline: 8 audio tokens, 4 layers of both kinds.

    Nothing stands where the checkpoints have the image tower of timm.
    """
    import transformers
    from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

    from sea.models.tiny import initialise, language, tokenizer

    media = {"image_token": "<image_soft_token>", "audio_token": "<audio_soft_token>"}
    ends = {name: f"<{name}>" for name in ("boi_token", "eoi_token", "boa_token", "eoa_token")}
    tokens = tokenizer(**media, **ends)
    text, own = len(tokens), 8  # ids of the text, and of each tower's own embeddings behind them

    class Sightless(transformers.Gemma3nVisionConfig):
        model_type = "gemma3n_sightless"

    class NoTower(transformers.PreTrainedModel):
        config_class = Sightless

    transformers.AutoModel.register(Sightless, NoTower)
    config = transformers.Gemma3nConfig(
        text_config=transformers.Gemma3nTextConfig(
            **language(
                tokens,
                vocab_size=text + 2 * own,
                vocab_size_per_layer_input=text,
                hidden_size_per_layer_input=8,
                num_hidden_layers=4,
                num_kv_shared_layers=2,
                head_dim=16,
                laurel_rank=8,
                activation_sparsity_pattern=[0.5, 0.0, 0.0, 0.0],
                sliding_window=5,
                layer_types=["sliding_attention", "full_attention"] * 2,
            )
        ),
        vision_config=Sightless(hidden_size=32, vocab_size=own, vocab_offset=text),
        audio_config=transformers.Gemma3nAudioConfig(
            vocab_size=own,
            vocab_offset=text + own,
            input_feat_size=16,
            hidden_size=32,
            conf_num_attention_heads=4,
            conf_num_hidden_layers=2,
            sscp_conv_channel_size=(16, 8),
        ),
        audio_soft_tokens_per_image=8,
        **{f"{name}_id": tokens.convert_tokens_to_ids(token) for name, token in media.items()},
    )
    processor = transformers.Gemma3nProcessor(
        feature_extractor=transformers.Gemma3nAudioFeatureExtractor(feature_size=16),
        image_processor=SiglipImageProcessorPil(size={"height": 32, "width": 32}),
        tokenizer=tokens,
        audio_seq_length=8,
        chat_template=tokens.chat_template,
    )
    return initialise(transformers.Gemma3nForConditionalGeneration(config)), processor
