"""Qwen3-VL (`Qwen3VLForConditionalGeneration`): a ViT of which several layers reach the language model (DeepStack).

E = what goes into `visual.merger` and into each of `visual.deepstack_merger_list`, side by side: (t * h * w, 4 * 1152)
for the 8B, whose three levels join the language model's first three layers. The prompt says the time of every two
frames of a clip, "<0.3 seconds>", by its rate. Sources: transformers `models/qwen3_vl/modeling_qwen3_vl.py`
(Qwen3VLVisionModel), `processing_qwen3_vl.py` (replace_video_token), arXiv 2511.21631.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sea.models.families import qwen2_vl
from sea.models.spec import Family

FAMILY = Family(
    modalities={
        "image": replace(qwen2_vl.IMAGE, emitter="deepstack"),
        "video": replace(qwen2_vl.VIDEO, emitter="deepstack"),
    },
)


def tiny() -> tuple[Any, Any]:
    """A random-weight model and a real processor, built offline: 4 ViT layers of which 3 are read, 2 Qwen3 layers."""
    import transformers

    from sea.models.tiny import initialise

    processor = qwen2_vl.tiny_processor("Qwen3VLProcessor", "Qwen3VLVideoProcessor")
    config = transformers.Qwen3VLConfig(
        vision_config=transformers.Qwen3VLVisionConfig(
            depth=4,
            hidden_size=32,
            out_hidden_size=64,
            intermediate_size=48,
            num_heads=4,
            num_position_embeddings=64,
            deepstack_visual_indexes=[0, 2],
            **qwen2_vl.PATCHES,
        ),
        text_config=qwen2_vl.tiny_text(
            transformers.Qwen3VLTextConfig, processor, head_dim=16, rope_parameters={"mrope_interleaved": True}
        ),
        **qwen2_vl.tiny_ids(processor),
    )
    return initialise(transformers.Qwen3VLForConditionalGeneration(config)), processor
