"""A toy model that reads a biosignal, as somebody else might have published it: it knows nothing of SEA.

Encoder M on patches of (channels x time), projector P, a small Llama; and a processor.
Shape suffixes: B signals, C channels, T samples in time, N patches, D encoder width, L tokens, H width of the LM.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import nn
from transformers import AutoConfig, AutoModel, GenerationMixin, PreTrainedConfig, PreTrainedModel, ProcessorMixin
from transformers.modeling_outputs import BaseModelOutput, CausalLMOutputWithPast


@dataclass(frozen=True)
class Biosignal:
    """A recording of an electrocardiogram (ECG): `samples_CT` as float32, `rate` samples a second."""

    samples_CT: np.ndarray
    rate: int


def flat_line(channels: int, seconds: float, rate: int) -> Biosignal:
    """A recording in which nothing happens."""
    return Biosignal(np.zeros((channels, round(seconds * rate)), dtype=np.float32), rate)


class EcgConfig(PreTrainedConfig):
    model_type = "toy_ecg"
    sub_configs: ClassVar = {"text_config": AutoConfig}

    def __init__(self, text_config=None, channels=3, patch=25, width=32, ecg_token_id=3, **kwargs):
        text_config = text_config or {"model_type": "llama"}
        if isinstance(text_config, dict):
            text_config = AutoConfig.for_model(**text_config)
        self.text_config, self.ecg_token_id = text_config, ecg_token_id
        self.channels, self.patch, self.width = channels, patch, width
        super().__init__(**kwargs)


class EcgPreTrainedModel(PreTrainedModel):
    config_class = EcgConfig
    base_model_prefix = "model"
    main_input_name = "input_ids"
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _supports_attention_backend = True


class EcgEncoder(EcgPreTrainedModel):
    """M: patches in time, and one layer of attention among them."""

    main_input_name = "ecg_values"

    def __init__(self, config):
        super().__init__(config)
        self.patches = nn.Conv1d(config.channels, config.width, kernel_size=config.patch, stride=config.patch)
        self.attention = nn.MultiheadAttention(config.width, num_heads=4, batch_first=True)
        self.norm = nn.LayerNorm(config.width)
        self.post_init()

    def forward(self, ecg_values):
        rows_BND = self.patches(ecg_values).mT
        seen_BND, _ = self.attention(rows_BND, rows_BND, rows_BND, need_weights=False)
        return BaseModelOutput(last_hidden_state=self.norm(rows_BND + seen_BND))


class EcgModel(EcgPreTrainedModel):
    def __init__(self, config):
        super().__init__(config)
        self.encoder = EcgEncoder(config)
        self.projector = nn.Linear(config.width, config.text_config.hidden_size)
        self.language_model = AutoModel.from_config(config.text_config)
        self.post_init()

    def get_input_embeddings(self):
        return self.language_model.embed_tokens

    def forward(self, input_ids=None, ecg_values=None, inputs_embeds=None, **kwargs):
        if inputs_embeds is None:
            inputs_embeds = self.get_input_embeddings()(input_ids)
        if ecg_values is not None:
            rows_BNH = self.projector(self.encoder(ecg_values).last_hidden_state)
            slot_BL1 = (input_ids == self.config.ecg_token_id)[..., None]
            inputs_embeds = inputs_embeds.masked_scatter(slot_BL1, rows_BNH.to(inputs_embeds.dtype))
        return self.language_model(inputs_embeds=inputs_embeds, **kwargs)


class EcgForConditionalGeneration(EcgPreTrainedModel, GenerationMixin):
    def __init__(self, config):
        super().__init__(config)
        self.model = EcgModel(config)
        self.lm_head = nn.Linear(config.text_config.hidden_size, config.text_config.vocab_size, bias=False)
        self.post_init()

    def get_output_embeddings(self):
        return self.lm_head

    def forward(self, input_ids=None, ecg_values=None, attention_mask=None, labels=None, logits_to_keep=0, **kwargs):
        kwargs.pop("return_dict", None)
        output = self.model(input_ids, ecg_values, attention_mask=attention_mask, **kwargs)
        logits = self.lm_head(output.last_hidden_state[:, -logits_to_keep:])
        loss = None if labels is None else self.loss_function(logits, labels, self.config.text_config.vocab_size)
        return CausalLMOutputWithPast(loss=loss, logits=logits, past_key_values=output.past_key_values)

    def prepare_inputs_for_generation(self, *args, ecg_values=None, is_first_iteration=False, **kwargs):
        made = super().prepare_inputs_for_generation(*args, is_first_iteration=is_first_iteration, **kwargs)
        if is_first_iteration:  # later the recording is in the cache
            made["ecg_values"] = ecg_values
        return made


class EcgProcessor(ProcessorMixin):
    """Normalises recordings, and writes `<ecg>` once for each patch where a prompt has it once."""

    def __init__(self, tokenizer, patch=25, rate=250, chat_template=None):
        self.patch, self.rate, self.ecg_token = patch, rate, "<ecg>"
        super().__init__(tokenizer, chat_template=chat_template)

    def values(self, recording):
        """(1, channels, time), mean 0 and deviation 1 in each channel; what fills no patch at the end is cut off."""
        if recording.rate != self.rate:
            raise ValueError(f"a recording at {recording.rate} samples a second, not {self.rate}")
        values_CT = torch.from_numpy(recording.samples_CT)
        values_CT = values_CT[:, : values_CT.shape[1] // self.patch * self.patch]
        deviation_C1 = values_CT.std(1, keepdim=True, correction=0)
        return ((values_CT - values_CT.mean(1, keepdim=True)) / (deviation_C1 + 1e-5))[None]

    def slot(self, values_1CT):
        """What stands for a recording in a prompt."""
        return self.ecg_token * (values_1CT.shape[2] // self.patch)

    def __call__(self, text, recordings, **kwargs):
        values = [self.values(recording) for recording in recordings]
        text = [one.replace(self.ecg_token, self.slot(own)) for one, own in zip(text, values, strict=True)]
        return {**self.tokenizer(text, **kwargs), "ecg_values": torch.cat(values)}
