"""The toy ECG model as SEA sees it. It lies outside `sea/`: `model.family_path` points here."""

from __future__ import annotations

from typing import Any

import transformers
from transformers import AutoConfig, AutoModelForMultimodalLM, AutoProcessor

from sea.models.spec import SLOT_TEXT, Family, Modality
from sea.models.tiny import initialise, tokenizer
from tests.biosignal.ecg_model import Biosignal, EcgConfig, EcgForConditionalGeneration, EcgProcessor, flat_line

# Classes that transformers does not bring: `load` imports this file before it opens the model's folder.
AutoConfig.register(EcgConfig.model_type, EcgConfig, exist_ok=True)
AutoModelForMultimodalLM.register(EcgConfig, EcgForConditionalGeneration, exist_ok=True)
AutoProcessor.register(EcgConfig, EcgProcessor, exist_ok=True)


def _described(processor: EcgProcessor, recording: Biosignal) -> dict[str, Any]:
    values_1CT = processor.values(recording)
    return {"ecg_values": values_1CT, SLOT_TEXT: processor.slot(values_1CT)}


FAMILY = Family(
    modalities={
        "biosignal": Modality(
            argument="ecg_values",  # of the model's forward; E travels in it
            encoder="encoder",  # M and P, below model.base_model
            projector="projector",
            emitter="last",  # M hands on its last hidden state, and P reads that
            wire="1ND",  # E of one recording is (patches, width)
            media=lambda recording: {"recordings": [recording]},
            process=_described,
            blank=flat_line,
            placeholder=lambda processor: processor.ecg_token,
        )
    },
    lora=r".*language_model\.layers\..*\.(q_proj|k_proj|v_proj|o_proj)",
)

BLANK = {"channels": 3, "seconds": 1.0, "rate": 250}  # of the tiny model


def tiny() -> tuple[EcgForConditionalGeneration, EcgProcessor]:
    """A random-weight model and a processor: 10 patches a second, 2 Llama layers."""
    tokens = tokenizer(biosignal_token="<ecg>")
    config = EcgConfig(
        text_config=transformers.LlamaConfig(
            vocab_size=len(tokens),
            hidden_size=64,
            intermediate_size=96,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=1024,
            pad_token_id=tokens.pad_token_id,
            bos_token_id=tokens.bos_token_id,
            eos_token_id=tokens.eos_token_id,
        ),
        ecg_token_id=tokens.convert_tokens_to_ids("<ecg>"),
    )
    processor = EcgProcessor(tokens, chat_template=tokens.chat_template)
    return initialise(EcgForConditionalGeneration(config)), processor
