"""Qwen2.5-VL (`Qwen2_5_VLForConditionalGeneration`): as Qwen2-VL, with a ViT that looks through windows.

E = what goes into `visual.merger`, (t * h * w, 1280) by the medium's grid, brought from the order of the windows back
to that of P's output: rows of tokens from the top left, the four patches of a token one after another. How many seconds
a row of a clip's grid stands for travels with E, for m-rope counts time in seconds. Sources: transformers
`models/qwen2_5_vl/modeling_qwen2_5_vl.py` (Qwen2_5_VisionTransformerPretrainedModel), arXiv 2502.13923.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from sea.models.families import qwen2_vl
from sea.models.spec import Family


def raster_order(encoder: nn.Module, inputs: Mapping[str, Tensor]) -> Tensor:
    """Places, in the order of the windows, of the rows in the order of P's output, (N,)."""
    from transformers.vision_utils import get_vision_window_index

    config: Any = encoder.config
    (grid_M3,) = (inputs[name] for name in ("image_grid_thw", "video_grid_thw") if name in inputs)
    window_index, _ = get_vision_window_index(
        grid_M3, config.spatial_merge_size, window_size=config.window_size, patch_size=config.patch_size
    )
    unit = config.spatial_merge_size**2  # patches of a token, which stay together
    token_places = torch.argsort(window_index)
    row_places: Tensor = token_places[:, None] * unit + torch.arange(unit, device=token_places.device)
    return row_places.flatten()


FAMILY = Family(
    modalities={
        "image": replace(qwen2_vl.IMAGE, order=raster_order),
        "video": replace(
            qwen2_vl.VIDEO, order=raster_order, companions=(*qwen2_vl.VIDEO.companions, "second_per_grid_ts")
        ),
    },
)


def tiny() -> tuple[Any, Any]:
    """A random-weight model and a real processor, built offline: 3 ViT layers, windows of 2 x 2 tokens."""
    import transformers

    from sea.models.tiny import initialise

    processor = qwen2_vl.tiny_processor("Qwen2_5_VLProcessor", "Qwen2VLVideoProcessor")
    config = transformers.Qwen2_5_VLConfig(
        vision_config=transformers.Qwen2_5_VLConfig.sub_configs["vision_config"](
            depth=3,
            hidden_size=32,
            out_hidden_size=64,
            intermediate_size=48,
            num_heads=4,
            window_size=32,
            fullatt_block_indexes=[1],
            **qwen2_vl.PATCHES,
        ),
        text_config=qwen2_vl.tiny_text(transformers.Qwen2_5_VLTextConfig, processor),
        **qwen2_vl.tiny_ids(processor),
    )
    return initialise(transformers.Qwen2_5_VLForConditionalGeneration(config)), processor
