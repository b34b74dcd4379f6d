"""Media as the processors take them: blank inputs now; decoding and encoding as they are needed.

Belongs here: pixels and samples. Does not belong here: what a model does with them.
"""

from __future__ import annotations

from PIL import Image

from sea.console import SeaError


def blank_image(width: int, height: int, fill: int) -> Image.Image:
    """One grey RGB image.

    Args:
        width: pixels.
        height: pixels.
        fill: the value of every channel, 0 (black) to 255 (white). The paper says only "blank image".
    """
    if min(width, height) < 1 or not 0 <= fill <= 255:
        raise SeaError(
            f"model.blank: no image is {width} x {height} of grey {fill}; "
            "type e.g. {width: 336, height: 336, fill: 255}"
        )
    return Image.new("RGB", (width, height), (fill, fill, fill))
