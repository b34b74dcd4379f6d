"""What the families' `tiny()` models share: sizes, a tokenizer trained on the spot and seeded random weights.

They make the contract tests real without a hub: real classes, real processors, no download.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

TEXT = (
    "user assistant system : describe the image . what is in the picture ? a red dog runs on green grass . "
    "the answer is yes no . listen to the audio and reply briefly please . "
    "cats sit on the mat near a blue lake under the yellow sun ."
)
# What `blank` makes of each modality for tiny models: media as small as the processors take.
BLANKS: dict[str, dict[str, Any]] = {
    "image": {"width": 40, "height": 36, "fill": 128},
    "video": {"frames": 4, "width": 40, "height": 36, "fill": 128, "fps": 2.0},
    "audio": {"seconds": 0.5, "rate": 16000},
}
# LLaVA-1.5's layout, with the placeholder token of each modality filled in.
CHAT_TEMPLATE = (
    "{% for m in messages %}{{ m['role'] | upper }}:"
    "{% if m['content'] is string %} {{ m['content'] }}{% else %}{% for p in m['content'] %}"
    "{% if p['type'] == 'text' %} {{ p['text'] }}{% else %} {{ media[p['type']] }}{% endif %}{% endfor %}{% endif %}"
    "{% if m['role'] == 'assistant' %}{{ eos_token }}{% endif %}{% if not loop.last %} {% endif %}{% endfor %}"
    "{% if add_generation_prompt %} ASSISTANT:{% endif %}"
)


def vision(**own: Any) -> dict[str, Any]:
    """Sizes of a tiny vision tower, 32 x 32 pixels in 16 patches, with what is other in one family."""
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    return {**sizes, "image_size": 32, "patch_size": 8, **own}


def language(tokens: Any, **own: Any) -> dict[str, Any]:
    """Sizes of a tiny language model over a tokenizer, with what is other in one family."""
    sizes = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4}
    return {
        **sizes,
        "num_key_value_heads": 2,
        "max_position_embeddings": 512,
        "vocab_size": len(tokens),
        "pad_token_id": tokens.pad_token_id,
        "bos_token_id": tokens.bos_token_id,
        "eos_token_id": tokens.eos_token_id,
        **own,
    }


def tokenizer(**media_tokens: str) -> Any:
    """A byte-level BPE tokenizer of about 400 tokens with the given special tokens, e.g. `image_token="<image>"`."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trained.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<pad>", "<s>", "</s>", *media_tokens.values()],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    trained.train_from_iterator([TEXT], trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=trained,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        extra_special_tokens=media_tokens,
    )
    tokens = {name.removesuffix("_token"): token for name, token in media_tokens.items()}
    fast.chat_template = "{% set media = " + repr(tokens) + " %}" + CHAT_TEMPLATE
    return fast


def initialise(model: nn.Module, seed: int = 0) -> nn.Module:
    """Seeded random weights, large enough that a tiny model's outputs differ from input to input."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        if parameter.ndim > 1:
            parameter.data = torch.randn(parameter.shape, generator=generator) * 0.08
        elif not any(mark in name.lower() for mark in ("norm", "ln_")):
            parameter.data = torch.randn(parameter.shape, generator=generator) * 0.02
    return model.eval()
