"""The three micro models: which library class reads which medium, and how its encoder and projector are called.

Belongs here: sizes of encoders, processors, the way from a rendered scene to encoder output E and from E to the rows of
the language model. Training and checking (`train.py`, `batches.py`, `check.py`) know no modality beyond this file. The
results are ordinary checkpoints that transformers loads without anything from this package.

Shape suffixes: B media, T frames, H height, W width, C channels, N rows, D encoder width, M mel bands, F mel frames,
S samples.
"""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import (
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaOnevisionConfig,
    LlavaOnevisionForConditionalGeneration,
    LlavaProcessor,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2AudioConfig,
    Qwen2AudioEncoderConfig,
    Qwen2AudioForConditionalGeneration,
    Qwen2AudioProcessor,
    SiglipVisionConfig,
    WhisperFeatureExtractor,
)

from sea.micro import clips, sounds
from sea.micro.images import SIZE

PATCH_PX = 16
PATCHES = (SIZE // PATCH_PX) ** 2
# The layer LLaVA-1.5 reads: the last but one, so that a layer of the tower lies unused behind the embedding's place.
LLAVA_LAYER = -2
PIXEL_MEAN, PIXEL_STD = 0.5, 0.25
MEL_BANDS = 64
HOP_SAMPLES = 320  # 50 frames of the spectrogram a second
SOUND_ROWS = sounds.SECONDS * sounds.RATE // HOP_SAMPLES // 4  # a convolution and a pooling halve them once each
_TOWER = {"num_hidden_layers": 4, "num_attention_heads": 4, "hidden_size": 128, "intermediate_size": 256}


@dataclass(frozen=True)
class Modality:
    """One micro model.

    Attributes:
        name: image, video or audio.
        model: name of the shipped folder.
        model_type: what its config.json says.
        special: the tokenizer's own tokens, by the name under which its processor looks for them; the first is the
            placeholder of one row.
        slot: what the chat template writes for one medium, and (rows) how often its placeholder is then repeated.
        rows: rows of the language model for one medium.
        tower: name of the encoder below `model.model`.
        tied: whether the class has one matrix for words read and words said; Qwen2-Audio ties none, whatever its
            configuration says.
        build: (tokenizer, text configuration) -> the untrained model.
        processor: (tokenizer, chat template) -> what `save_pretrained` writes the processor with.
        stored: scenes as rendered, (B, ...) -> the form that a pool holds.
        inputs: the stored form -> the encoder's input, one medium a row.
        encode: (model, inputs) -> E, (B, ..., N, D).
        project: (model, E) -> (B, rows, width of the language model).
    """

    name: str
    model: str
    model_type: str
    special: dict[str, str]
    slot: str
    rows: int
    tower: str
    tied: bool
    build: Callable[[PreTrainedTokenizerFast, LlamaConfig], PreTrainedModel]
    processor: Callable[[PreTrainedTokenizerFast, str], Any]
    stored: Callable[[np.ndarray], Tensor]
    inputs: Callable[[Tensor], Tensor]
    encode: Callable[[Any, Tensor], Tensor]
    project: Callable[[Any, Tensor], Tensor]

    @property
    def placeholder(self) -> str:
        """The token that stands for one row."""
        return next(iter(self.special.values()))


def pixel_values(pixels_BHWC: Tensor) -> Tensor:
    """uint8 pictures to what the processor would make of them."""
    return (pixels_BHWC.permute(0, 3, 1, 2).float() / 255 - PIXEL_MEAN) / PIXEL_STD


def _pixel_settings() -> dict[str, Any]:
    return {
        "size": {"height": SIZE, "width": SIZE},
        "image_mean": [PIXEL_MEAN] * 3,
        "image_std": [PIXEL_STD] * 3,
    }


# --- image: LLaVA -----------------------------------------------------------------------------------------------------


def _llava(tokenizer: PreTrainedTokenizerFast, text: LlamaConfig) -> PreTrainedModel:
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(image_size=SIZE, patch_size=PATCH_PX, hidden_act="gelu", **_TOWER),
        text_config=text,
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        image_seq_length=PATCHES,
        vision_feature_layer=LLAVA_LAYER,
        vision_feature_select_strategy="default",
        tie_word_embeddings=True,
    )
    return LlavaForConditionalGeneration(config)


def _llava_processor(tokenizer: PreTrainedTokenizerFast, chat_template: str) -> LlavaProcessor:
    """On pillow alone: torchvision must not be needed."""
    size = {"height": SIZE, "width": SIZE}
    return LlavaProcessor(
        image_processor=CLIPImageProcessorPil(crop_size=size, do_center_crop=False, **_pixel_settings()),
        tokenizer=tokenizer,
        patch_size=PATCH_PX,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,  # CLS, which the "default" strategy drops again
        chat_template=chat_template,
    )


def _llava_encode(model: Any, pixels_BCHW: Tensor) -> Tensor:
    states = model.model.vision_tower(pixel_values=pixels_BCHW, output_hidden_states=True).hidden_states
    emb_BND: Tensor = states[model.config.vision_feature_layer][:, 1:]
    return emb_BND


IMAGE = Modality(
    name="image",
    model="micro-llava",
    model_type="llava",
    special={"image_token": "<image>"},
    slot="<image>\n",
    rows=PATCHES,
    tower="vision_tower",
    tied=True,
    build=_llava,
    processor=_llava_processor,
    stored=torch.from_numpy,
    inputs=pixel_values,
    encode=_llava_encode,
    project=lambda model, emb_BND: model.model.multi_modal_projector(emb_BND),
)

# --- video: LLaVA-OneVision -------------------------------------------------------------------------------------------


def _onevision(tokenizer: PreTrainedTokenizerFast, text: LlamaConfig) -> PreTrainedModel:
    config = LlavaOnevisionConfig(
        vision_config=SiglipVisionConfig(image_size=SIZE, patch_size=PATCH_PX, vision_use_head=False, **_TOWER),
        text_config=text,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        video_token_index=tokenizer.convert_tokens_to_ids("<video>"),
        image_grid_pinpoints=[[SIZE, SIZE]],
        tie_word_embeddings=True,
    )
    return LlavaOnevisionForConditionalGeneration(config)


@dataclass(frozen=True)
class _ProcessorFiles:
    """A processor as the files that it is saved as: without torchvision the library makes none that reads videos."""

    tokenizer: PreTrainedTokenizerFast
    settings: dict[str, Any]

    def save_pretrained(self, folder: Path) -> None:
        """Tokenizer, chat template and `processor_config.json`."""
        self.tokenizer.save_pretrained(folder)
        (folder / "processor_config.json").write_text(json.dumps(self.settings, indent=2, sort_keys=True) + "\n")


def _onevision_processor(tokenizer: PreTrainedTokenizerFast, _: str) -> _ProcessorFiles:
    pixels: dict[str, Any] = {
        "do_convert_rgb": True,
        "do_normalize": True,
        "do_rescale": True,
        "do_resize": True,
        "resample": 3,
    }
    pixels |= {"rescale_factor": 1 / 255, **_pixel_settings()}
    settings = {
        "processor_class": "LlavaOnevisionProcessor",
        "image_processor": {
            "image_processor_type": "LlavaOnevisionImageProcessor",
            "image_grid_pinpoints": [[SIZE, SIZE]],
            "do_pad": True,
            **pixels,
        },
        "video_processor": {
            "video_processor_type": "LlavaOnevisionVideoProcessor",
            "do_sample_frames": False,
            "return_metadata": False,
            **pixels,
        },
        "image_token": "<image>",
        "video_token": "<video>",
        "num_image_tokens": PATCHES,
        "vision_aspect_ratio": "anyres_max_9",
        "vision_feature_select_strategy": "full",
    }
    return _ProcessorFiles(tokenizer, settings)


def _frame_values(pixels_BTHWC: Tensor) -> Tensor:
    values = pixel_values(pixels_BTHWC.flatten(0, 1))
    return values.reshape(*pixels_BTHWC.shape[:2], *values.shape[1:])


def _onevision_encode(model: Any, pixels_BTCHW: Tensor) -> Tensor:
    frames = model.model.vision_tower(pixels_BTCHW.flatten(0, 1), output_hidden_states=True).hidden_states[-1]
    emb_BTND: Tensor = frames.reshape(*pixels_BTCHW.shape[:2], *frames.shape[1:])
    return emb_BTND


def _onevision_project(model: Any, emb_BTND: Tensor) -> Tensor:
    """As `get_video_features` does behind the tower: P, a quarter of the rows by pooling, a row that ends the clip."""
    rows = model.model.apply_pooling(model.model.multi_modal_projector(emb_BTND.flatten(0, 1)))
    rows = rows.reshape(len(emb_BTND), -1, rows.shape[-1])
    joined: Tensor = torch.cat([rows, model.model.image_newline.expand(len(rows), 1, -1)], dim=1)
    return joined


VIDEO = Modality(
    name="video",
    model="micro-video",
    model_type="llava_onevision",
    special={"video_token": "<video>", "image_token": "<image>"},
    slot="<video>\n",
    rows=clips.FRAMES * PATCHES // 4 + 1,
    tower="vision_tower",
    tied=True,
    build=_onevision,
    processor=_onevision_processor,
    stored=torch.from_numpy,
    inputs=_frame_values,
    encode=_onevision_encode,
    project=_onevision_project,
)

# --- audio: Qwen2-Audio -----------------------------------------------------------------------------------------------


@cache
def _feature_extractor() -> WhisperFeatureExtractor:
    return WhisperFeatureExtractor(
        feature_size=MEL_BANDS,
        sampling_rate=sounds.RATE,
        hop_length=HOP_SAMPLES,
        n_fft=512,
        chunk_length=sounds.SECONDS,
    )


def _mel(samples_BS: np.ndarray) -> Tensor:
    made = _feature_extractor()(list(samples_BS), sampling_rate=sounds.RATE, return_tensors="pt")
    mel_BMF: Tensor = made["input_features"]
    return mel_BMF


def _qwen2_audio(tokenizer: PreTrainedTokenizerFast, text: LlamaConfig) -> PreTrainedModel:
    config = Qwen2AudioConfig(
        audio_config=Qwen2AudioEncoderConfig(
            num_mel_bins=MEL_BANDS,
            max_source_positions=2 * SOUND_ROWS,
            d_model=_TOWER["hidden_size"],
            encoder_layers=_TOWER["num_hidden_layers"],
            encoder_attention_heads=_TOWER["num_attention_heads"],
            encoder_ffn_dim=_TOWER["intermediate_size"],
        ),
        text_config=text,
        audio_token_index=tokenizer.convert_tokens_to_ids("<|AUDIO|>"),
        tie_word_embeddings=False,
    )
    model = Qwen2AudioForConditionalGeneration(config)
    # Where a sound lies in time, as Whisper's encoder starts out: the class itself would draw it at random.
    positions = model.model.audio_tower.embed_positions.weight
    angles = torch.arange(len(positions))[:, None] * torch.exp(torch.arange(64) * -(math.log(10_000) / 63))
    with torch.no_grad():
        positions.copy_(0.3 * torch.cat([angles.sin(), angles.cos()], dim=1))
    positions.requires_grad_(True)
    return model


AUDIO = Modality(
    name="audio",
    model="micro-audio",
    model_type="qwen2_audio",
    special={"audio_token": "<|AUDIO|>", "audio_bos_token": "<|audio_bos|>", "audio_eos_token": "<|audio_eos|>"},
    slot="<|audio_bos|><|AUDIO|><|audio_eos|>\n",
    rows=SOUND_ROWS,
    tower="audio_tower",
    tied=False,
    build=_qwen2_audio,
    processor=lambda tokenizer, chat_template: Qwen2AudioProcessor(
        feature_extractor=_feature_extractor(), tokenizer=tokenizer, chat_template=chat_template
    ),
    stored=_mel,
    inputs=lambda mel_BMF: mel_BMF,
    encode=lambda model, mel_BMF: model.model.audio_tower(mel_BMF).last_hidden_state,
    project=lambda model, emb_BND: model.model.multi_modal_projector(emb_BND),
)

MODALITIES = {own.name: own for own in (IMAGE, VIDEO, AUDIO)}
