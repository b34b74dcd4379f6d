"""Video processors without torchvision: against readings of their own, and as checkpoints on the hub have them.

What the patches are is read off the image processors (which have PIL versions), what torchvision's resize gives off
the torch function that it calls.
"""

import json
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import (
    AutoProcessor,
    CLIPImageProcessorPil,
    Qwen2AudioProcessor,
    Qwen2VLProcessor,
    WhisperFeatureExtractor,
    processing_utils,
)
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil
from transformers.utils import is_torchvision_available

from sea.console import SeaError
from sea.media import Video
from sea.models import frames
from sea.models.frames import clip, load_processor, metadata, video_processor
from sea.models.tiny import tokenizer

HALF = [0.5, 0.5, 0.5]
PLAIN = {
    "do_resize": True,
    "do_rescale": True,
    "do_normalize": True,
    "do_convert_rgb": True,
    "image_mean": [0.48, 0.46, 0.41],
    "image_std": [0.27, 0.26, 0.28],
    "resample": 3,
}
CROP = {**PLAIN, "size": {"shortest_edge": 28}, "do_center_crop": True, "crop_size": {"height": 28, "width": 28}}
SQUARE = {**PLAIN, "size": {"height": 28, "width": 28}}
PATCHES = {"patch_size": 14, "temporal_patch_size": 2, "merge_size": 2, "image_mean": HALF, "image_std": HALF}
QWEN = {**PATCHES, "min_pixels": 28 * 28, "max_pixels": 56 * 56, "image_processor_type": "Qwen2VLImageProcessor"}
QWEN3 = {**PATCHES, "patch_size": 16, "processor_class": "Qwen3VLProcessor"}
PINS = {"image_grid_pinpoints": [[28, 28], [28, 56]]}
QWEN_TOKENS = {
    "image_token": "<|image_pad|>",
    "video_token": "<|video_pad|>",
    "vision_start_token": "<|vision_start|>",
    "vision_end_token": "<|vision_end|>",
}
TOKENS = {"image_token": "<image>", "video_token": "<video>"}
# What lies in the checkpoint's folder beside the tokenizer: the files as the hub has them, old layouts among them.
CHECKPOINTS = {
    "qwen2_vl": (QWEN_TOKENS, {"preprocessor_config": {**QWEN, "processor_class": "Qwen2VLProcessor"}}),
    "qwen2_5_vl": (
        QWEN_TOKENS,
        {
            "preprocessor_config": {
                **QWEN,
                "processor_class": "Qwen2_5_VLProcessor",
                "image_processor_type": "Qwen2VLImageProcessorFast",
            }
        },
    ),
    "qwen3_vl": (
        QWEN_TOKENS,
        {
            "preprocessor_config": {
                **QWEN3,
                "size": {"shortest_edge": 32 * 32, "longest_edge": 64 * 64},
                "image_processor_type": "Qwen2VLImageProcessorFast",
            },
            "video_preprocessor_config": {
                **QWEN3,
                "size": {"shortest_edge": 32 * 32, "longest_edge": 6 * 64 * 64},
                "video_processor_type": "Qwen3VLVideoProcessor",
            },
        },
    ),
    "llava_onevision": (
        TOKENS,
        {
            "processor_config": {
                "processor_class": "LlavaOnevisionProcessor",
                "num_image_tokens": 4,
                "vision_feature_select_strategy": "full",
            },
            "preprocessor_config": {**SQUARE, **PINS, "image_processor_type": "LlavaOnevisionImageProcessor"},
            "video_preprocessor_config": {**SQUARE, "image_processor_type": "LlavaOnevisionVideoProcessor"},
        },
    ),
    "smolvlm": (
        {
            **TOKENS,
            "fake_image_token": "<fake_token_around_image>",
            "global_image_token": "<global-img>",
            "end_of_utterance_token": "<end_of_utterance>",
        },
        {
            "processor_config": {"processor_class": "SmolVLMProcessor", "image_seq_len": 4},
            "preprocessor_config": {
                **PLAIN,
                "do_pad": True,
                "do_image_splitting": False,
                "max_image_size": {"longest_edge": 28},
                "size": {"longest_edge": 56},
                "image_processor_type": "SmolVLMImageProcessor",
                "video_sampling": {"fps": 1, "max_frames": 64, "video_size": {"longest_edge": 28}},
            },
        },
    ),
    "internvl": (
        {
            "start_image_token": "<img>",
            "end_image_token": "</img>",
            "context_image_token": "<IMG_CONTEXT>",
            "video_token": "<video>",
        },
        {
            "processor_config": {"processor_class": "InternVLProcessor", "image_seq_length": 4},
            "preprocessor_config": {
                **SQUARE,
                "min_patches": 1,
                "max_patches": 4,
                "image_processor_type": "GotOcr2ImageProcessorFast",
            },
        },
    ),
    "video_llava": (
        TOKENS,
        {
            "processor_config": {"processor_class": "VideoLlavaProcessor", "patch_size": 14},
            "preprocessor_config": {**CROP, "image_processor_type": "VideoLlavaImageProcessor"},
        },
    ),
    "llava_next_video": (
        TOKENS,
        {
            "processor_config": {
                "processor_class": "LlavaNextVideoProcessor",
                "patch_size": 14,
                "vision_feature_select_strategy": "default",
            },
            # The class of this name with "Video" for "Image" is a processor, not a video processor.
            "preprocessor_config": {**CROP, **PINS, "image_processor_type": "LlavaNextImageProcessor"},
        },
    ),
}
# Of 5 frames of 60 x 80: the video processor, the shapes that come out, the token after expansion and how often.
MADE = {
    "qwen2_vl": (
        "Qwen2VLVideoProcessor",
        {"pixel_values_videos": (24, 1176), "video_grid_thw": (1, 3)},
        "<|video_pad|>",
        6,
    ),
    "qwen2_5_vl": (
        "Qwen2VLVideoProcessor",
        {"pixel_values_videos": (24, 1176), "video_grid_thw": (1, 3), "second_per_grid_ts": (1,)},
        "<|video_pad|>",
        6,
    ),
    "qwen3_vl": (
        "Qwen3VLVideoProcessor",
        {"pixel_values_videos": (48, 1536), "video_grid_thw": (1, 3)},
        "<|video_pad|>",
        12,
    ),
    "llava_onevision": ("LlavaOnevisionVideoProcessor", {"pixel_values_videos": (1, 5, 3, 28, 28)}, "<video>", 6),
    "smolvlm": (
        "SmolVLMVideoProcessor",
        {"pixel_values": (1, 5, 3, 28, 28), "pixel_attention_mask": (1, 5, 28, 28)},
        "<image>",
        20,
    ),
    "internvl": ("InternVLVideoProcessor", {"pixel_values": (5, 3, 28, 28)}, "<IMG_CONTEXT>", 20),
    "video_llava": ("VideoLlavaVideoProcessor", {"pixel_values_videos": (1, 5, 3, 28, 28)}, "<video>", 25),
    "llava_next_video": ("LlavaNextVideoVideoProcessor", {"pixel_values_videos": (1, 5, 3, 28, 28)}, "<video>", 5),
}

pytestmark = pytest.mark.skipif(is_torchvision_available(), reason="with torchvision the library's own are loaded")


def some_frames(count, height=60, width=80, seed=0):
    """Noise on a ramp: no two pixels or frames alike."""
    random = np.random.default_rng(seed)
    ramp = np.linspace(0, 120, width)[None, :, None]
    return [
        Image.fromarray((ramp + random.integers(0, 130, (height, width, 3))).astype(np.uint8)) for _ in range(count)
    ]


def checkpoint(path, name):
    tokens, files = CHECKPOINTS[name]
    tokenizer(**tokens).save_pretrained(path)
    for file, content in {"config": {"model_type": name}, **files}.items():
        (path / f"{file}.json").write_text(json.dumps(content))
    return path


def ask(processor, *videos):
    text = " then ".join([processor.video_token] * len(videos))
    arguments = [clip(video) for video in videos]
    joined = {key: [item for own in arguments for item in own[key]] for key in arguments[0]}
    return processor(text=[text], return_tensors="pt", **joined)


# ------------------------------------------------------------------------------------------------ checkpoints


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_a_checkpoint_that_knows_videos_loads_and_its_processor_reads_them(name, tmp_path):
    if name == "smolvlm":
        pytest.importorskip("num2words")  # its processor writes the number of frames in words
    processor = load_processor(checkpoint(tmp_path, name))
    kind, shapes, token, count = MADE[name]
    assert type(processor.video_processor).__name__ == kind
    made = ask(processor, Video(some_frames(5), fps=2.0))
    text = {"input_ids", "attention_mask", "mm_token_type_ids"}
    assert {key: tuple(value.shape) for key, value in made.items() if key not in text} == shapes
    assert all(made[key].dtype == torch.float32 for key in shapes if key.startswith("pixel_values"))
    assert int((made["input_ids"] == processor.tokenizer.convert_tokens_to_ids(token)).sum()) == count


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_and_reads_images(name, tmp_path):
    if name == "smolvlm":
        pytest.importorskip("num2words")
    processor = load_processor(checkpoint(tmp_path, name))
    assert getattr(processor.image_processor, "backend", "pil") == "pil"
    made = processor(text=[f"see {processor.image_token}"], images=[some_frames(1)], return_tensors="pt")
    assert {"pixel_values", "pixel_values_images"} & set(made)


def test_a_saved_processor_names_the_librarys_class_and_loads_again(tmp_path):
    before = load_processor(checkpoint(tmp_path, "qwen2_vl"))
    before.save_pretrained(tmp_path / "saved")
    said = json.loads((tmp_path / "saved" / "processor_config.json").read_text())["video_processor"]
    assert said["video_processor_type"] == "Qwen2VLVideoProcessor"
    video = Video(some_frames(3), fps=2.0)
    after = load_processor(tmp_path / "saved")
    torch.testing.assert_close(ask(after, video)["pixel_values_videos"], ask(before, video)["pixel_values_videos"])


def test_the_checkpoints_own_sampling_is_off(tmp_path):
    path = checkpoint(tmp_path, "qwen3_vl")
    file = path / "video_preprocessor_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "do_sample_frames": True, "fps": 1}))
    made = ask(load_processor(path), Video(some_frames(10), fps=4.0))
    assert made["video_grid_thw"][0, 0] == 5  # sampled at one frame a second it would be 2


def test_a_processor_without_videos_is_autoprocessors(tmp_path):
    listener = Qwen2AudioProcessor(
        WhisperFeatureExtractor(), tokenizer(audio_token="<|AUDIO|>"), audio_token="<|AUDIO|>"
    )
    listener.save_pretrained(tmp_path)
    assert load_processor(tmp_path).to_dict() == AutoProcessor.from_pretrained(tmp_path).to_dict()


def test_a_video_processor_that_needs_torchvision_leaves_the_images_and_refuses_videos(tmp_path):
    path = checkpoint(tmp_path, "qwen2_vl")
    broken = {**QWEN, "video_processor_type": "Gemma4VideoProcessor"}
    (path / "video_preprocessor_config.json").write_text(json.dumps(broken))
    processor = load_processor(path)
    assert "pixel_values" in processor(text=["<|image_pad|>"], images=some_frames(1), return_tensors="pt")
    with pytest.raises(SeaError, match="Gemma4VideoProcessor cannot read videos without torchvision: install"):
        ask(processor, Video(some_frames(2), fps=2.0))
    with pytest.raises(SeaError, match="Gemma4VideoProcessor is no video processor"):
        video_processor("Gemma4VideoProcessor")
    with pytest.raises(SeaError, match="LlavaNextVideoProcessor is no video processor"):
        video_processor("LlavaNextVideoProcessor")


def test_a_checkpoint_that_names_no_video_processor_reads_images(tmp_path):
    path = checkpoint(tmp_path, "qwen2_5_vl")
    settings = {**QWEN, "processor_class": "Qwen2_5_VLProcessor"}
    del settings["image_processor_type"]
    (path / "preprocessor_config.json").write_text(json.dumps(settings))
    processor = load_processor(path)
    assert "pixel_values" in processor(text=["<|image_pad|>"], images=some_frames(1), return_tensors="pt")
    with pytest.raises(SeaError, match="qwen2_5_vl cannot read videos"):
        ask(processor, Video(some_frames(2), fps=2.0))


def test_transformers_is_left_as_it_was_also_after_a_failure(tmp_path):
    load_processor(checkpoint(tmp_path, "qwen2_vl"))
    (tmp_path / "preprocessor_config.json").write_text("{")
    with pytest.raises(OSError):
        load_processor(tmp_path)
    assert processing_utils.MODALITY_TO_AUTOPROCESSOR_MAPPING._MAPPING_NAMES["video_processor"] == (
        "transformers.models.auto.video_processing_auto",
        "AutoVideoProcessor",
    )
    assert not [name for name in sys.modules if name.split(".")[0] == "torchvision"]


# ------------------------------------------------------------------------------------------------ patches


def image_patches(count):
    """Frames, and the image processor's patches of each: (N, C, p * p), which repeats a frame to fill a pair."""
    images = some_frames(count)
    processor = Qwen2VLImageProcessorPil(**PATCHES, size={"shortest_edge": 28 * 28, "longest_edge": 56 * 56})
    made = processor(images, return_tensors="pt")
    patches = made["pixel_values"].reshape(count, -1, 3, 2, 14 * 14)
    assert torch.equal(patches[:, :, :, 0], patches[:, :, :, 1])
    return images, patches[:, :, :, 0], made["image_grid_thw"]


@pytest.mark.parametrize("count", [2, 5, 6])
def test_a_pair_of_frames_lies_in_a_patch_and_the_last_frame_fills_an_odd_pair(count):
    images, patches, grid = image_patches(count)
    processor = video_processor(
        "Qwen2VLVideoProcessor", **PATCHES, size={"shortest_edge": 28 * 28, "longest_edge": 56 * 56}
    )
    made = processor([images], return_tensors="pt")
    pairs = [(first, min(first + 1, count - 1)) for first in range(0, count, 2)]
    expected = torch.cat([torch.stack([patches[a], patches[b]], dim=2).flatten(1) for a, b in pairs])
    torch.testing.assert_close(made["pixel_values_videos"], expected, atol=1e-5, rtol=0)
    assert made["video_grid_thw"].tolist() == [[len(pairs), *grid[0, 1:].tolist()]]


def test_equal_frames_give_the_image_processors_own_patches():
    images, _, _ = image_patches(1)
    size = {"shortest_edge": 28 * 28, "longest_edge": 56 * 56}
    still = Qwen2VLImageProcessorPil(**PATCHES, size=size)(images, return_tensors="pt")["pixel_values"]
    made = video_processor("Qwen2VLVideoProcessor", **PATCHES, size=size)([images * 4], return_tensors="pt")
    torch.testing.assert_close(made["pixel_values_videos"], torch.cat([still, still]), atol=1e-5, rtol=0)


def test_one_budget_is_for_a_frame_and_the_other_for_the_clip():
    size = {"shortest_edge": 28 * 28, "longest_edge": 4 * 112 * 112}
    each, whole = (
        [
            processor([some_frames(count, 112, 112)], return_tensors="pt")["video_grid_thw"].tolist()[0]
            for count in (4, 16)
        ]
        for processor in (
            video_processor("Qwen2VLVideoProcessor", **PATCHES, size=size),
            video_processor("Qwen3VLVideoProcessor", **PATCHES, size=size),
        )
    )
    assert each == [[2, 8, 8], [8, 8, 8]]
    assert whole == [[2, 8, 8], [8, 4, 4]]


def test_clips_of_different_sizes_lie_behind_each_other(tmp_path):
    processor = load_processor(checkpoint(tmp_path, "qwen2_5_vl"))
    videos = Video(some_frames(4, 28, 56), fps=2.0), Video(some_frames(3, 56, 56, seed=1), fps=4.0)
    together = ask(processor, *videos)
    alone = [ask(processor, video) for video in videos]
    for key in ("pixel_values_videos", "video_grid_thw", "second_per_grid_ts"):
        torch.testing.assert_close(together[key], torch.cat([made[key] for made in alone]))
    assert together["video_grid_thw"].tolist() == [[2, 2, 4], [2, 4, 4]]
    assert together["second_per_grid_ts"].tolist() == [1.0, 0.5]


# ------------------------------------------------------------------------------------------------ stacked frames


@pytest.mark.parametrize("size", [(60, 80), (80, 60), (29, 28), (28, 28)])
def test_a_stack_is_the_image_processors_frames(size):
    images = some_frames(3, *size)
    made = video_processor("VideoLlavaVideoProcessor", **CROP)([images], return_tensors="pt")["pixel_values_videos"]
    expected = CLIPImageProcessorPil(**CROP)(images, return_tensors="pt")["pixel_values"]
    torch.testing.assert_close(made, expected[None], atol=1e-5, rtol=0)


def test_a_frame_smaller_than_the_crop_is_filled_up_with_black():
    settings = {**CROP, "do_resize": False, "do_normalize": False}
    image = some_frames(1, 20, 25)[0]
    made = video_processor("VideoLlavaVideoProcessor", **settings)([[image]], return_tensors="pt")
    expected = torch.zeros(28, 28, 3)
    expected[4:24, 1:26] = torch.as_tensor(np.array(image)) / 255
    torch.testing.assert_close(made["pixel_values_videos"][0, 0], expected.permute(2, 0, 1))


def test_a_resize_is_torchvisions_but_for_rounding():
    images = some_frames(2, 60, 80)
    settings = {**SQUARE, "do_normalize": False, "do_rescale": False}
    made = video_processor("LlavaOnevisionVideoProcessor", **settings)([images], return_tensors="pt")
    video = torch.stack([torch.as_tensor(np.array(image)).permute(2, 0, 1) for image in images])
    # What torchvision calls for uint8 on a CPU.
    there = torch.nn.functional.interpolate(video, (28, 28), mode="bicubic", antialias=True)
    difference = (made["pixel_values_videos"][0].float() - there.float()).abs()
    assert difference.max() <= 1


def test_short_clips_and_their_masks_are_filled_up():
    processor = video_processor(
        "SmolVLMVideoProcessor", **PLAIN, size={"longest_edge": 56}, max_image_size={"longest_edge": 28}
    )
    made = processor([some_frames(4), some_frames(2, seed=1)], return_tensors="pt")
    assert made["pixel_values"].shape == (2, 4, 3, 28, 28)
    assert made["pixel_values"][1, 2:].abs().sum() == 0 and made["pixel_values"][1, :2].abs().sum() > 0


def test_arrays_and_nested_lists_are_clips_too():
    processor = video_processor("LlavaOnevisionVideoProcessor", **SQUARE)
    images = some_frames(3)
    expected = processor([images], return_tensors="pt")["pixel_values_videos"]
    for other in (images, [[images]], np.stack(images), [np.stack(images)]):
        torch.testing.assert_close(processor(other, return_tensors="pt")["pixel_values_videos"], expected)


@pytest.mark.parametrize("mode", ["RGBA", "L"])
def test_frames_that_are_not_rgb_are_refused(mode):
    images = [image.convert(mode) for image in some_frames(2)]
    with pytest.raises(SeaError, match=r"not \(2, 60, 80.*convert its frames"):
        video_processor("LlavaOnevisionVideoProcessor", **SQUARE)([images], return_tensors="pt")


def test_a_frame_three_pixels_wide_is_not_taken_for_channels():
    made = video_processor("LlavaOnevisionVideoProcessor", **SQUARE)([some_frames(2, 3, 9)], return_tensors="pt")
    expected = CLIPImageProcessorPil(**SQUARE, do_center_crop=False)(some_frames(2, 3, 9), return_tensors="pt")
    torch.testing.assert_close(made["pixel_values_videos"][0], expected["pixel_values"], atol=1e-5, rtol=0)


# ------------------------------------------------------------------------------------------------ when a frame is


def test_the_prompt_says_when_each_pair_of_frames_is(tmp_path):
    processor = load_processor(checkpoint(tmp_path, "qwen3_vl"))
    given = clip(Video(some_frames(5), fps=2.0))
    made = processor(text=["<|video_pad|>"], return_tensors="pt", **given)
    text = processor.decode(made["input_ids"][0])
    # Frames 0..4 at 0, .5, ... 2 seconds; a pair lies between its two; the last frame is its own pair.
    assert [part.split(">")[0] for part in text.split("<")[1:] if "seconds" in part] == [
        "0.2 seconds",
        "1.2 seconds",
        "2.0 seconds",
    ]
    assert given["video_metadata"] == [metadata(5, 2.0)], "the library wrote into the caller's metadata"


def test_seconds_and_frames_are_written_where_the_processor_writes_them(tmp_path):
    pytest.importorskip("num2words")
    processor = load_processor(checkpoint(tmp_path, "smolvlm"))
    text = processor.decode(ask(processor, Video(some_frames(3), fps=0.5))["input_ids"][0])
    assert "three frames from a 0:00:06" in text
    assert [f"Frame from {time}:" in text for time in ("00:00", "00:02", "00:04")] == [True] * 3


@pytest.mark.parametrize(
    "given, fps, times",
    [
        (None, 4.0, 0.5),  # the caller's
        ({"fps": 8.0}, 4.0, 0.25),  # metadata before it
        ({"fps": None, "total_num_frames": 4}, 4.0, 0.5),  # which say nothing by None
        ([[{"fps": 8.0, "total_num_frames": 4}]], None, 0.25),  # one list a prompt
        (None, None, 1.0),  # the checkpoint's setting
    ],
)
def test_what_is_not_said_of_a_clip_is_filled_in(given, fps, times, tmp_path):
    path = checkpoint(tmp_path, "qwen2_5_vl")
    file = path / "preprocessor_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "fps": 2}))
    arguments = {"video_metadata": given, "fps": fps}
    made = load_processor(path)(
        text=["<|video_pad|>"],
        videos=[some_frames(4)],
        return_tensors="pt",
        return_metadata=True,
        **{key: value for key, value in arguments.items() if value is not None},
    )
    assert made["second_per_grid_ts"].tolist() == [times]
    said = made["video_metadata"][0]
    assert (said.total_num_frames, said.frames_indices, said.duration) == (4, [0, 1, 2, 3], 4 / (2 / times))


def test_metadata_of_other_clips_are_refused():
    with pytest.raises(SeaError, match="2 clips have 1 entries of video_metadata"):
        video_processor("LlavaOnevisionVideoProcessor", **SQUARE)(
            [some_frames(2), some_frames(2)], video_metadata=[metadata(2, 1.0)]
        )


def test_a_processor_is_built_from_parts():
    built = Qwen2VLProcessor(
        Qwen2VLImageProcessorPil(**PATCHES),
        tokenizer(**QWEN_TOKENS),
        video_processor("Qwen2VLVideoProcessor", **PATCHES, size={"shortest_edge": 28 * 28, "longest_edge": 56 * 56}),
    )
    assert ask(built, Video(some_frames(2), 1.0))["video_grid_thw"].tolist() == [[1, 2, 4]]
    assert frames.VideoProcessorMixin in type(built.video_processor).__mro__
