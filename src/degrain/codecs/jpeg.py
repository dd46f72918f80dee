"""JPEG through Pillow.

Its plugin is called directly rather than by `Image.open`: so our limit on the size holds instead of
a global one, and of the several pictures that phones put into a JPEG the first one counts.
"""

from __future__ import annotations

import io

import numpy as np
from PIL import JpegImagePlugin

from degrain.codecs.stored import Stored, check_size, cmyk_to_rgb, exif_orientation, part_alpha


def jpeg_size(data: bytes) -> tuple[int, int]:
    """(width, height) by the header."""
    with JpegImagePlugin.JpegImageFile(io.BytesIO(data)) as image:
        return image.size


def decode_jpeg(data: bytes) -> Stored:
    """Decode a JPEG; CMYK becomes RGB."""
    with JpegImagePlugin.JpegImageFile(io.BytesIO(data)) as image:
        check_size(*image.size)
        samples = np.asarray(image)
        orientation = exif_orientation(image.info.get("exif"))
        if image.mode != "CMYK":
            return part_alpha(samples, "JPEG", orientation)
        colours = cmyk_to_rgb(samples, image.info.get("icc_profile"))
        return part_alpha(colours, "JPEG", orientation, from_cmyk=True)
