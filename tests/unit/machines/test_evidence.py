"""A screen's picture, whatever the hypervisor makes of it."""

import cv2
import numpy as np

from activities.machines.evidence import to_png


def test_a_pixmap_becomes_a_png_of_the_same_pixels() -> None:
    pixels = bytes([255, 0, 0, 0, 255, 0, 0, 0, 255, 32, 10, 9])
    image = cv2.imdecode(np.frombuffer(to_png(b"P6\n2 2\n255\n" + pixels), np.uint8), cv2.IMREAD_COLOR_RGB)
    assert image is not None
    assert image.tobytes() == pixels


def test_a_png_is_kept_as_it_is() -> None:
    assert to_png(b"\x89PNG\r\n\x1a\nrest") == b"\x89PNG\r\n\x1a\nrest"
