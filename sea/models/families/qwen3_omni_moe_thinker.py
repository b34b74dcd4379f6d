"""Qwen3-Omni's thinker (`Qwen3OmniMoeThinkerForConditionalGeneration`): the part that listens, sees and writes text.

Image and video: Qwen3-VL's encoder with its levels, E = (t * h * w, 4 * 1152) for the 30B; the seconds that a row of a
clip's grid stands for travel with E, and stand in the positions, not in the prompt. Audio: P is the last layer of the
audio tower, `proj2`, and E what goes into it (`proj1` and its activation belong to M here), 13 rows a second,
(390, 1280) for 30 s; see the thinker of Qwen2.5-Omni for its way to M. LoRA lies on the attention: the experts are no
linear layers. Sources: transformers `models/qwen3_omni_moe/modeling_qwen3_omni_moe.py` (Qwen3OmniMoeThinkerModel),
arXiv 2509.17765.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sea.models.families import qwen2_5_omni_thinker, qwen2_vl
from sea.models.spec import Family

FAMILY = Family(
    modalities={
        "image": replace(qwen2_5_omni_thinker.IMAGE, emitter="deepstack"),
        "video": replace(qwen2_5_omni_thinker.VIDEO, emitter="deepstack"),
        "audio": replace(qwen2_5_omni_thinker.AUDIO, projector="audio_tower.proj2"),
    },
    lora=r".*language_model\.layers\..*\.(q_proj|k_proj|v_proj|o_proj)",
)


def tiny() -> tuple[Any, Any]:
    """A random-weight model and a real processor, built offline: 4 ViT layers of which 3 are read, 4 experts."""
    import transformers

    from sea.models.tiny import initialise

    processor = qwen2_5_omni_thinker.tiny_processor("Qwen3OmniMoeProcessor")
    parts = transformers.Qwen3OmniMoeThinkerConfig.sub_configs
    config = transformers.Qwen3OmniMoeThinkerConfig(
        vision_config=parts["vision_config"](
            depth=4,
            hidden_size=32,
            out_hidden_size=64,
            intermediate_size=48,
            num_heads=4,
            num_position_embeddings=64,
            deepstack_visual_indexes=[0, 2],
            **qwen2_vl.PATCHES,
        ),
        audio_config=parts["audio_config"](
            num_mel_bins=16,
            encoder_layers=2,
            encoder_attention_heads=4,
            encoder_ffn_dim=48,
            d_model=32,
            max_source_positions=50,
            n_window=50,
            output_dim=64,
            downsample_hidden_size=8,
        ),
        text_config=qwen2_vl.tiny_text(
            parts["text_config"],
            processor,
            rope_parameters={"mrope_interleaved": True},
            num_experts=4,
            num_experts_per_tok=2,
            moe_intermediate_size=48,
        ),
        position_id_per_seconds=13,
        **qwen2_5_omni_thinker.tiny_ids(processor),
    )
    model: Any = initialise(transformers.Qwen3OmniMoeThinkerForConditionalGeneration(config))
    for name, parameter in model.get_submodule("model.audio_tower").named_parameters():
        if name.startswith("conv"):  # four small ones in a row would leave next to nothing of a sound
            parameter.data *= 4
    model.set_experts_implementation("eager")  # the others have no float64, in which the contract is checked
    return model, processor
