"""What the micro models have in common: tokenizer, chat format, language model; and writing one Hugging Face folder.

Belongs here: the language model's sizes, the chat template. Encoders and processors: `modality.py`.
"""

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import GenerationConfig, LlamaConfig, PreTrainedModel, PreTrainedTokenizerFast

from sea.console import SeaError
from sea.micro.corpus import tokenizer_lines
from sea.micro.modality import IMAGE, Modality

_VOCABULARY = 1024

# LLaVA-1.5's wording of a conversation, with the end of an assistant turn right after its text: the text of
# (user, assistant) then starts with the text of (user) plus generation prompt, and the answer is " ...</s>".
_CHAT_TEMPLATE = (
    "{%- for message in messages -%}"
    "{%- if message['role'] != 'system' -%}{{ message['role'] | upper }}: {%- endif -%}"
    "{%- if message['content'] is string -%}"
    "{{ (' ' if message['role'] != 'system' else '') + message['content'] }}"
    "{%- else -%}"
    "{%- for part in message['content'] if part['type'] == 'MODALITY' -%}{{ ' SLOT' }}{%- endfor -%}"
    "{%- set image_first = message['content'] | selectattr('type', 'equalto', 'MODALITY') | list | length > 0 -%}"
    "{%- for part in message['content'] if part['type'] == 'text' -%}"
    "{{ ('' if (loop.first and (image_first or message['role'] == 'system')) else ' ') + part['text'] }}"
    "{%- endfor -%}"
    "{%- endif -%}"
    "{%- if message['role'] == 'assistant' -%}{{ eos_token }}{%- endif -%}"
    "{%- if not loop.last or add_generation_prompt -%}{{ ' ' }}{%- endif -%}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}ASSISTANT:{%- endif -%}"
)


def model_dir(modality: Modality) -> Path:
    """The folder of the model that ships."""
    return Path(__file__).parent / "models" / modality.model


def chat_template(modality: Modality) -> str:
    """The chat format with the slot of a modality."""
    slot = modality.slot.replace("\n", "\\n")
    return _CHAT_TEMPLATE.replace("MODALITY", modality.name).replace("SLOT", slot)


def prompt_text(question: str, with_medium: bool, modality: Modality = IMAGE) -> str:
    """What the chat template makes of one question, the placeholder repeated once for every row of the medium."""
    token = modality.placeholder
    slot = modality.slot.replace(token, token * modality.rows) if with_medium else ""
    return f"USER: {slot}{question} ASSISTANT:"


def build_tokenizer(modality: Modality = IMAGE) -> PreTrainedTokenizerFast:
    """A byte-level BPE over the world's sentences, the same for every seed: any text is representable."""
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=_VOCABULARY,
        special_tokens=["<pad>", "<s>", "</s>", *modality.special.values()],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator(tokenizer_lines(modality.name), trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        extra_special_tokens=modality.special,
        model_max_length=2048,
        padding_side="left",
    )
    tokenizer.chat_template = chat_template(modality)
    return tokenizer


def build_model(tokenizer: PreTrainedTokenizerFast, seed: int, modality: Modality = IMAGE) -> PreTrainedModel:
    """The untrained model: about 0.5 M parameters of encoder, 0.9 M of language model."""
    torch.manual_seed(seed)
    special = {
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
    }
    text = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=352,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=2048,
        tie_word_embeddings=modality.tied,
        **special,
    )
    model = modality.build(tokenizer, text)
    model.config.pad_token_id = tokenizer.pad_token_id
    model.generation_config = GenerationConfig(do_sample=False, max_new_tokens=40, **special)
    with torch.no_grad():  # the library's 0.02 is for wide models; at this width words would start out all alike
        model.get_input_embeddings().weight.mul_(4)
        if not modality.tied:
            model.get_output_embeddings().weight.copy_(model.get_input_embeddings().weight)
    return model


def refuse_existing(out: Path) -> None:
    """Fail before any work when the target folder exists."""
    if out.exists():
        raise SeaError(
            f"{out} exists already and a trained model is never overwritten: type another out=..., or remove it"
        )


def write_checkpoint(model: PreTrainedModel, processor: Any, out: Path) -> None:
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
