"""The micro model's parts: tokenizer, processor, untrained model, and writing them as one Hugging Face folder.

Belongs here: sizes, the chat template, special tokens. The result is an ordinary LLaVA checkpoint that
`AutoModelForImageTextToText` and `AutoProcessor` load without anything from this package.
"""

import os
import shutil
import tempfile
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    GenerationConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)

from sea.console import SeaError
from sea.micro.corpus import tokenizer_lines
from sea.micro.images import SIZE

MODEL_DIR = Path(__file__).parent / "models" / "micro-llava"
PATCH_PX = 16
IMAGE_TOKENS = (SIZE // PATCH_PX) ** 2
# The layer LLaVA-1.5 reads: the last but one, so that a layer of the tower lies unused behind the embedding's place.
VISION_LAYER = -2
PIXEL_MEAN, PIXEL_STD = 0.5, 0.25
_VOCABULARY = 1024

# LLaVA-1.5's wording of a conversation, with the end of an assistant turn right after its text: the text of
# (user, assistant) then starts with the text of (user) plus generation prompt, and the answer is " ...</s>".
CHAT_TEMPLATE = (
    "{%- for message in messages -%}"
    "{%- if message['role'] != 'system' -%}{{ message['role'] | upper }}: {%- endif -%}"
    "{%- if message['content'] is string -%}"
    "{{ (' ' if message['role'] != 'system' else '') + message['content'] }}"
    "{%- else -%}"
    "{%- for part in message['content'] if part['type'] == 'image' -%}{{ ' <image>\\n' }}{%- endfor -%}"
    "{%- set image_first = message['content'] | selectattr('type', 'equalto', 'image') | list | length > 0 -%}"
    "{%- for part in message['content'] if part['type'] == 'text' -%}"
    "{{ ('' if (loop.first and (image_first or message['role'] == 'system')) else ' ') + part['text'] }}"
    "{%- endfor -%}"
    "{%- endif -%}"
    "{%- if message['role'] == 'assistant' -%}{{ eos_token }}{%- endif -%}"
    "{%- if not loop.last or add_generation_prompt -%}{{ ' ' }}{%- endif -%}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}ASSISTANT:{%- endif -%}"
)


def prompt_text(question: str, with_image: bool) -> str:
    """What the chat template makes of one question, the placeholder repeated once for every image token."""
    slot = "<image>" * IMAGE_TOKENS + "\n" if with_image else ""
    return f"USER: {slot}{question} ASSISTANT:"


def build_tokenizer() -> PreTrainedTokenizerFast:
    """A byte-level BPE over the world's sentences, the same for every seed: any text is representable."""
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=_VOCABULARY,
        special_tokens=["<pad>", "<s>", "</s>", "<image>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator(tokenizer_lines(), trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        extra_special_tokens={"image_token": "<image>"},
        model_max_length=2048,
        padding_side="left",
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def build_processor(tokenizer: PreTrainedTokenizerFast) -> LlavaProcessor:
    """The LLaVA processor on pillow alone: torchvision must not be needed."""
    size = {"height": SIZE, "width": SIZE}
    image_processor = CLIPImageProcessorPil(
        size=size,
        crop_size=size,
        do_center_crop=False,
        image_mean=[PIXEL_MEAN] * 3,
        image_std=[PIXEL_STD] * 3,
    )
    return LlavaProcessor(
        image_processor=image_processor,
        tokenizer=tokenizer,
        patch_size=PATCH_PX,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,  # CLS, which the "default" strategy drops again
        chat_template=CHAT_TEMPLATE,
    )


def build_model(tokenizer: PreTrainedTokenizerFast, seed: int) -> LlavaForConditionalGeneration:
    """The untrained model: about 0.5 M parameters of vision tower, 0.9 M of language model."""
    torch.manual_seed(seed)
    special = {
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
    }
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(
            hidden_size=128,
            intermediate_size=256,
            num_hidden_layers=4,
            num_attention_heads=4,
            image_size=SIZE,
            patch_size=PATCH_PX,
            hidden_act="gelu",
        ),
        text_config=LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=128,
            intermediate_size=352,
            num_hidden_layers=4,
            num_attention_heads=4,
            num_key_value_heads=4,
            max_position_embeddings=2048,
            tie_word_embeddings=True,
            **special,
        ),
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        image_seq_length=IMAGE_TOKENS,
        vision_feature_layer=VISION_LAYER,
        vision_feature_select_strategy="default",
        tie_word_embeddings=True,
    )
    model = LlavaForConditionalGeneration(config)
    model.config.pad_token_id = tokenizer.pad_token_id
    model.generation_config = GenerationConfig(do_sample=False, max_new_tokens=40, **special)
    with torch.no_grad():  # the library's 0.02 is for wide models; at this width words would start out all alike
        model.get_input_embeddings().weight.mul_(4)
    return model


def refuse_existing(out: Path) -> None:
    """Fail before any work when the target folder exists."""
    if out.exists():
        raise SeaError(
            f"{out} exists already and a trained model is never overwritten: type another out=..., or remove it"
        )


def write_checkpoint(model: LlavaForConditionalGeneration, processor: LlavaProcessor, out: Path) -> None:
    """Half precision, in one rename: a reader sees the whole folder or none."""
    refuse_existing(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        model.to(torch.float16).save_pretrained(draft)
        processor.save_pretrained(draft)
        draft.chmod(0o755)  # mkdtemp and the writers of temporary files make what only their owner may read
        for file in draft.iterdir():
            file.chmod(0o644)
        os.rename(draft, out)  # noqa: PTH104  (Path.rename would do the same; this one is known to fail on a full folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
