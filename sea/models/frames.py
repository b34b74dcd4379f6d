"""Processors without torchvision: transformers' own video processors, with PIL where they would call torchvision.

Without torchvision transformers 5 hides every video processor, so that checkpoints that know videos do not load at all,
not even for images. The classes themselves are plain torch around three operations of their torchvision backend: here
these are done with PIL and torch. Budgets, padding, patches and names of the outputs stay the library's code.
SEA samples frames itself (`sea.media`), so no processor here samples.

Belongs here: what replaces torchvision. Does not belong here: which video processor a family has (its checkpoint says),
or what its models do with the result.

Shape suffixes: C channels, H height, W width; "..." are clips and frames.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
import transformers
from torch import Tensor
from torch.nn import functional
from transformers import AutoConfig, AutoProcessor, BatchFeature, processing_utils
from transformers.image_processing_backends import PilBackend, TorchvisionBackend
from transformers.utils import is_torchvision_available
from transformers.video_processing_utils import VideoProcessorMixin
from transformers.video_utils import make_batched_videos

from sea.console import SeaError
from sea.media import Video

# The modules that a video processor's file imports at its head, for annotations that are never evaluated.
TORCHVISION = (
    "torchvision",
    "torchvision.transforms",
    "torchvision.transforms.v2",
    "torchvision.transforms.v2.functional",
)


class PilFrames(TorchvisionBackend):
    """What a video processor asks of its torchvision backend, done with PIL and torch.

    A subclass of that backend, so that Python's method order puts it between the library's video processors and it.
    """

    def resize(self, image: Tensor, size: Any, resample: Any = None, **_: Any) -> Tensor:
        """Every frame of `image` (..., C, H, W) by PIL, at most one step of 255 from torchvision's."""
        frames = image.reshape(-1, *image.shape[-3:]).numpy()
        resized = [torch.as_tensor(PilBackend.resize(self, frame, size=size, resample=resample)) for frame in frames]
        return torch.stack(resized).reshape(*image.shape[:-2], *resized[0].shape[-2:])

    def center_crop(self, image: Tensor, size: Any, **_: Any) -> Tensor:
        """The middle of every frame; what is smaller is filled up with zeros around it."""
        for dim, wanted in ((-1, size.width), (-2, size.height)):
            missing = max(wanted - image.shape[dim], 0)
            around = [missing // 2, (missing + 1) // 2]
            image = functional.pad(image, around if dim == -1 else [0, 0, *around])
            image = image.narrow(dim, (image.shape[dim] - wanted) // 2, wanted)
        return image

    def normalize(self, image: Tensor, mean: Any, std: Any, **_: Any) -> Tensor:
        """(image - mean) / std, one mean and deviation a channel."""
        mean_C11, std_C11 = (torch.as_tensor(value, dtype=image.dtype).reshape(-1, 1, 1) for value in (mean, std))
        return (image - mean_C11) / std_C11


class GivenFrames:
    """Goes in front of a library's video processor: the frames come sampled, their times come with them."""

    def preprocess(self, videos: Any, **kwargs: Any) -> BatchFeature:
        """The library's `preprocess`, with the metadata filled in.

        Args:
            videos: a list of clips; a clip is a list of RGB PIL images or an array (frames, H, W, 3).
            kwargs: the library's own. `video_metadata`: one dict a clip (see `metadata`), what it leaves out is filled
                in. `fps`: frames a second of clips whose metadata says nothing; the checkpoint's setting by default.

        Raises:
            SeaError: frames are not RGB, or there is metadata for more or fewer clips.
        """
        clips = make_batched_videos(videos)
        if odd := [shape for shape in (tuple(getattr(own, "shape", ())) for own in clips) if shape[3:] != (3,)]:
            raise SeaError(
                f"a clip is a list of RGB images or an array (frames, height, width, 3), not {odd[0]}; "
                "convert its frames: frame.convert('RGB')"
            )
        fps = kwargs.get("fps") or getattr(self, "fps", None)
        given = _flat(kwargs.pop("video_metadata", None)) or [{}] * len(clips)
        if len(given) != len(clips):
            raise SeaError(f"{len(clips)} clips have {len(given)} entries of video_metadata; pass one for each clip")
        described = []
        for frames, own in zip(clips, given, strict=True):
            said = {name: own[name] for name in own if own[name] is not None}
            described.append({**metadata(len(frames), said.get("fps", fps)), **said})
        kwargs |= {"video_metadata": described, "input_data_format": "channels_last"}
        made: BatchFeature = super().preprocess(clips, **kwargs)  # type: ignore[misc]
        return made

    def convert_to_rgb(self, video: Tensor) -> Tensor:
        """The frames as they are: `preprocess` took no others than RGB."""
        return video


class NoVideo(VideoProcessorMixin):
    """Stands where a video processor cannot be had without torchvision: the processor's other modalities work.

    Args:
        name: the library's class.
    """

    def __init__(self, name: str) -> None:
        _name_the_base_class()
        super().__init__()
        self.name = name

    def preprocess(self, videos: Any, **kwargs: Any) -> BatchFeature:
        """Refuses.

        Raises:
            SeaError: always.
        """
        raise SeaError(
            f"{self.name} cannot read videos without torchvision: install the torchvision of your torch build "
            "(https://pytorch.org/get-started), or use the model's other modalities"
        )


class FrameVideoProcessor:
    """What `AutoVideoProcessor` is with torchvision: finds a checkpoint's video processor."""

    @classmethod
    def from_pretrained(cls, path: str | Path, **kwargs: Any) -> Any:
        """The video processor of a checkpoint's folder, or a `NoVideo` that will say why there is none."""
        settings, _ = VideoProcessorMixin.get_video_processor_dict(path, **kwargs)
        name = _class_name(settings, path)
        found = _frame_class(name)
        return NoVideo(name) if found is None else found.from_dict(settings)


def metadata(frames: int, fps: float | None) -> dict[str, Any]:
    """What transformers' `VideoMetadata` holds of a clip that is all frames of its own.

    Args:
        frames: how many.
        fps: frames a second; None: unknown, for which the processors that write times assume 24.
    """
    return {
        "total_num_frames": frames,
        "fps": fps,
        "duration": frames / fps if fps else None,  # seconds
        "frames_indices": list(range(frames)),
    }


def clip(video: Video) -> dict[str, Any]:
    """One clip as the keyword arguments of a processor (`Modality.media`)."""
    return {"videos": [video.frames], "video_metadata": [metadata(len(video.frames), video.fps)]}


def video_processor(name: str, **settings: Any) -> Any:
    """A video processor of transformers, with or without torchvision.

    Args:
        name: its class in transformers.
        settings: its own.

    Raises:
        SeaError: transformers has no such class, or it does not work without torchvision.
    """
    found = _frame_class(name)
    if found is None:
        raise SeaError(f"{name} is no video processor of transformers that works without torchvision")
    return _unsampled(found(**settings))


def load_processor(path: str | Path) -> Any:
    """`AutoProcessor.from_pretrained` for a checkpoint's folder, with or without torchvision.

    A video processor in it takes the frames that it is given. Without torchvision its settings are read from where the
    library reads them: `video_preprocessor_config.json`, the `video_processor` section of `processor_config.json`, or
    `preprocessor_config.json`.

    Raises:
        Whatever the library raises: the folder holds no processor, or a damaged one.
    """
    with _frames_for_videos():
        processor = AutoProcessor.from_pretrained(path, trust_remote_code=False)
    if getattr(processor, "video_processor", None) is not None:
        _unsampled(processor.video_processor)
    return processor


def _unsampled(processor: Any) -> Any:
    processor.do_sample_frames = False
    return processor


def _flat(given: Any) -> list[Any]:
    """Metadata come as one entry, as a list, or as a list a prompt."""
    if given is None or isinstance(given, Mapping):
        return [] if given is None else [given]
    return [entry for item in given for entry in _flat(item)]


def _class_name(settings: Mapping[str, Any], path: str | Path) -> str:
    """The class that `AutoVideoProcessor` would take: named, guessed from the image processor's, or the model's own."""
    if named := settings.get("video_processor_type"):
        return str(named)
    image = str(settings.get("image_processor_type", "")).removesuffix("Fast")
    guessed = image.replace("ImageProcessor", "VideoProcessor")
    if _home(guessed):
        return guessed
    kind = str(AutoConfig.from_pretrained(path, trust_remote_code=False).model_type)
    with _empty_torchvision():
        try:
            own = importlib.import_module(f"transformers.models.{kind}.video_processing_{kind}")
        except (ImportError, NameError):
            return kind  # no class: `NoVideo` names it
    return str(own.__all__[0])


def _home(name: str) -> str | None:
    """The module of a video processor, which one that transformers hides for want of torchvision knows as well."""
    module = str(getattr(getattr(transformers, name, None), "__module__", ""))
    return module if ".video_processing_" in module else None


def _name_the_base_class() -> None:
    """Every processor checks its video processor against this name, which transformers lacks without torchvision."""
    if not hasattr(processing_utils.transformers_module, VideoProcessorMixin.__name__):
        setattr(processing_utils.transformers_module, VideoProcessorMixin.__name__, VideoProcessorMixin)


def _frame_class(name: str) -> Any:
    """The library's video processor `name` on PIL; the class itself with torchvision; None where neither can be."""
    _name_the_base_class()
    if (home := _home(name)) is None:
        return None
    if is_torchvision_available():
        return getattr(transformers, name)
    with _empty_torchvision():
        try:
            found = getattr(importlib.import_module(home), name)
        except (ImportError, NameError):  # its file needs more of torchvision than the name
            return None
    # The library's own name: it is what a saved processor is found by.
    return type(found.__name__, (GivenFrames, found, PilFrames), {"__module__": __name__})


@contextmanager
def _empty_torchvision() -> Iterator[None]:
    """Lets a file be imported that starts with `import torchvision...` and then only writes annotations with it."""
    if is_torchvision_available():  # asked first: transformers remembers the answer, so it cannot take the empty one
        yield
        return
    empty = {name: ModuleType(name) for name in TORCHVISION}
    for name, module in empty.items():
        parent, _, attribute = name.rpartition(".")
        if parent:
            setattr(empty[parent], attribute, module)
    sys.modules.update(empty)
    try:
        yield
    finally:
        for name in empty:
            del sys.modules[name]


@contextmanager
def _frames_for_videos() -> Iterator[None]:
    """While a processor loads, transformers' table of sub-processors names `FrameVideoProcessor` for videos."""
    if is_torchvision_available():
        yield
        return
    table = processing_utils.MODALITY_TO_AUTOPROCESSOR_MAPPING._MAPPING_NAMES
    before = table["video_processor"]
    table["video_processor"] = (__name__, FrameVideoProcessor.__name__)
    try:
        yield
    finally:
        table["video_processor"] = before
