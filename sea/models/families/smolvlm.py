"""SmolVLM and SmolVLM2 (`SmolVLMForConditionalGeneration`): every tile or frame is encoded; P shuffles and projects.

E = last_hidden_state of all tiles of an image (the small whole image the last) or of all frames of a clip: for
SmolVLM2-2.2B (tiles, 729, 1152), which P shuffles to 81 tokens a tile; for SmolVLM2-500M (tiles, 1024, 768), 64 tokens.
The model drops tiles that are zero all through, before M, so images of different tilings, and clips of different
lengths, lie in one batch filled up with zeros. Tiles and frames are always full squares, so the processor's
`pixel_attention_mask` says nothing that the model would not assume, and does not travel. Clips enter as `pixel_values`
and their tokens are the images'; the times of the frames are written in the prompt. The processor needs the package
num2words. Sources: transformers `models/smolvlm/modeling_smolvlm.py` (get_image_features), `processing_smolvlm.py`,
arXiv 2504.05299.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sea.media import blank_video
from sea.models.families import idefics3
from sea.models.frames import clip, video_processor
from sea.models.spec import Family

VIDEO = replace(
    idefics3.IMAGE,
    media=clip,
    blank=blank_video,
    placeholder=lambda processor: str(processor.video_token),
    token=lambda processor: str(processor.image_token),
)
FAMILY = Family(modalities={"image": idefics3.IMAGE, "video": VIDEO}, lora=idefics3.LORA)


def tiny() -> tuple[Any, Any]:
    """A random-weight model and a real processor, built offline: tiles of 16 rows, 4 tokens each, 2 Llama layers."""
    import transformers
    from transformers.models.smolvlm.image_processing_pil_smolvlm import SmolVLMImageProcessorPil
    from transformers.models.smolvlm.processing_smolvlm import DEFAULT_CHAT_TEMPLATE

    from sea.models.tiny import initialise, language, tokenizer, vision

    tokens = tokenizer(
        image_token="<image>",
        video_token="<video>",
        fake_image_token="<fake_token_around_image>",
        global_image_token="<global-img>",
        end_of_utterance_token="<end_of_utterance>",
        start_token="<|im_start|>",
    )
    # As in the checkpoints: the processor takes its own template for clips, which writes these two.
    tokens.bos_token, tokens.eos_token = "<|im_start|>", "<end_of_utterance>"
    config = transformers.SmolVLMConfig(
        vision_config=transformers.SmolVLMVisionConfig(**vision()),
        text_config=transformers.LlamaConfig(**language(tokens)),
        scale_factor=2,
        image_token_id=tokens.convert_tokens_to_ids("<image>"),
        pad_token_id=tokens.pad_token_id,
    )
    square = {"longest_edge": 32}
    processor = transformers.SmolVLMProcessor(
        image_processor=SmolVLMImageProcessorPil(size={"longest_edge": 96}, max_image_size=square),
        tokenizer=tokens,
        video_processor=video_processor("SmolVLMVideoProcessor", size=square, max_image_size=square),
        image_seq_len=4,
        chat_template=DEFAULT_CHAT_TEMPLATE,
    )
    return initialise(transformers.SmolVLMForConditionalGeneration(config), seed=1), processor
