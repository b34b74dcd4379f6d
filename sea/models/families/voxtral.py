"""Voxtral (`VoxtralForConditionalGeneration`): a Whisper encoder on pieces of 30 s; P joins four rows and is an MLP.

E = last_hidden_state of the audio tower: (pieces, 1500, 1280). The last piece is filled up with silence, which the
model hears: every row is read. Sources: transformers `models/voxtral/modeling_voxtral.py` (get_audio_features) and
`processing_voxtral.py`, arXiv 2507.13264.

The library's processor writes ids at once, by mistral-common, and no text; so the turns are written here, in the layout
of mistral-common's version 7 (`[INST]`, then the sound, then the text), which is unverified against a checkpoint, and
need a tokenizer of tokenizer.json in place of tekken.json.
"""

from __future__ import annotations

from typing import Any

from sea.console import SeaError
from sea.media import Sound, silence
from sea.models.spec import SLOT_TEXT, Family, Modality

BEGIN, AUDIO = "[BEGIN_AUDIO]", "[AUDIO]"
ROWS_JOINED = 4  # of E for one row of P: intermediate_size / hidden_size of the audio tower
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'user' %}[INST]{% endif %}"
    "{% if m['content'] is string %}{{ m['content'] }}{% else %}{% for p in m['content'] %}"
    "{% if p['type'] == 'audio' %}[AUDIO]{% else %}{{ p['text'] }}{% endif %}{% endfor %}{% endif %}"
    "{% if m['role'] == 'user' %}[/INST]{% else %}{{ eos_token }}{% endif %}{% endfor %}"
)


class Turns:
    """A `VoxtralProcessor` that writes turns as text.

    Raises:
        SeaError: its tokenizer is mistral-common's, which takes no special token from a text.
    """

    def __init__(self, own: Any) -> None:
        self.own, self.tokenizer, self.feature_extractor = own, own.tokenizer, own.feature_extractor
        self.chat_template = getattr(own.tokenizer, "chat_template", None) or CHAT_TEMPLATE
        if list(self.tokenizer(AUDIO, add_special_tokens=False).input_ids) != [own.audio_token_id]:
            raise SeaError(
                f"{type(self.tokenizer).__name__} does not read {AUDIO} as one token: SEA needs Voxtral's tokenizer as "
                "tokenizer.json. Write it once by transformers.integrations.mistral.convert_tekken_tokenizer, save it "
                "into the model's folder, and take tekken.json out"
            )

    def apply_chat_template(self, messages: Any, **options: Any) -> Any:
        """Turns as text."""
        return self.tokenizer.apply_chat_template(messages, chat_template=self.chat_template, **options)


def _described(processor: Turns, sound: Sound) -> dict[str, Any]:
    hears = processor.feature_extractor
    options = {"sampling_rate": sound.rate, "pad_to_multiple_of": hears.n_samples}
    options["max_source_positions"] = hears.nb_max_frames  # mel frames of a piece, in spite of the name
    features_TMF = processor.own._retrieve_input_features(
        [sound.samples_T], **{**processor.own.audio_kwargs, **options}
    )
    rows = features_TMF.shape[0] * features_TMF.shape[2] // 2 // ROWS_JOINED  # the second convolution takes every other
    return {"input_features": features_TMF, SLOT_TEXT: BEGIN + AUDIO * rows}


FAMILY = Family(
    modalities={
        "audio": Modality(
            argument="input_features",
            encoder="audio_tower",
            projector="multi_modal_projector",
            emitter="last",
            wire="TND",
            media=lambda sound: {"audio": [sound.samples_T], "sampling_rate": sound.rate},
            process=_described,
            blank=silence,
            placeholder=lambda processor: AUDIO,
        )
    },
    processor=Turns,
)


def tiny() -> tuple[Any, Any]:
    """A random-weight model and a real processor, built offline: pieces of 1 s, 64 rows read as 16, 2 Llama layers."""
    import transformers

    from sea.models.tiny import initialise, language, tokenizer

    between = {f"control_{place}_token": f"<SPECIAL_{place}>" for place in range(5, 24)}  # the processor knows 24 alone
    tokens = tokenizer(
        begin_inst_token="[INST]", end_inst_token="[/INST]", **between, audio_token=AUDIO, begin_audio_token=BEGIN
    )
    tokens.chat_template = None  # as in the checkpoints
    hears = transformers.WhisperFeatureExtractor(feature_size=16, chunk_length=1, hop_length=125)
    config = transformers.VoxtralConfig(
        audio_config=transformers.VoxtralEncoderConfig(
            num_mel_bins=16,
            hidden_size=32,
            intermediate_size=32 * ROWS_JOINED,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_source_positions=hears.nb_max_frames // 2,
        ),
        text_config=transformers.LlamaConfig(**language(tokens)),
        audio_token_id=tokens.convert_tokens_to_ids(AUDIO),
    )
    processor = transformers.VoxtralProcessor(feature_extractor=hears, tokenizer=tokens)
    return initialise(transformers.VoxtralForConditionalGeneration(config)), processor
