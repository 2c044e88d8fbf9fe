"""Locate the object in an image (Section IV-C a): gradients, threshold, morphology, outline.

The paper follows a well-known OpenCV recipe; here every value is a parameter: grey → Gx, Gy →
G = Gx − Gy → absolute 8-bit → box blur → binary → closing → erosions, dilations → outline.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from rsparse.options.localize import LocalizeParameters

Pixels = NDArray[np.uint8]
Mask = NDArray[np.bool_]


def locate_object(image: Pixels, parameters: LocalizeParameters | None = None) -> tuple[Mask, bool]:
    """Find the object region of an image.

    Parameters
    ----------
    image : uint8 array of shape (h, w, 3), RGB
    parameters : LocalizeParameters, optional

    Returns
    -------
    mask : bool array of shape (h, w)
        True on the object region.
    found : bool
        False if nothing was found and the mask is the fallback that the parameters name.
    """
    parameters = parameters or LocalizeParameters()
    height, width = image.shape[:2]
    shrink = parameters.working_size / max(height, width) if parameters.working_size else 1
    working: Any = image
    if shrink < 1:
        size = (max(1, round(width * shrink)), max(1, round(height * shrink)))
        working = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    region: Any = _region(working, parameters)
    if not region.any():
        return _fallback(height, width, parameters.fallback_region), False
    if shrink < 1:
        region = cv2.resize(region, (width, height), interpolation=cv2.INTER_NEAREST)
    return region.astype(bool), True


def _region(image: Pixels, parameters: LocalizeParameters) -> Pixels:
    """The region as zeros and ones, at the size of ``image``."""
    grey = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), dtype=np.uint8)
    gradient = _gradient(grey, parameters)
    blurred = cv2.blur(gradient, (parameters.blur_size, parameters.blur_size))
    method = cv2.THRESH_BINARY + (cv2.THRESH_OTSU if parameters.otsu else 0)
    _, binary = cv2.threshold(blurred, parameters.threshold, 255, method)
    square = np.ones((parameters.closing_size, parameters.closing_size), dtype=np.uint8)
    closed = cv2.morphologyEx(binary, cv2.MORPH_CLOSE, square)
    small = np.ones((3, 3), dtype=np.uint8)
    if parameters.opening_rounds:
        closed = cv2.erode(closed, small, iterations=parameters.opening_rounds)
        closed = cv2.dilate(closed, small, iterations=parameters.opening_rounds)
    outlines = cv2.findContours(closed, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)[-2]
    region = np.zeros(image.shape[:2], dtype=np.uint8)
    if len(outlines) == 0:
        return region
    chosen = outlines
    if parameters.keep_contours == "largest":
        chosen = [max(outlines, key=cv2.contourArea)]
    return np.asarray(cv2.drawContours(region, chosen, -1, 1, cv2.FILLED), dtype=np.uint8)


def _gradient(grey: Pixels, parameters: LocalizeParameters) -> Pixels:
    """The paper's G, as absolute 8-bit values."""
    size = -1 if parameters.gradient == "scharr" else 3
    gx = cv2.Sobel(grey, cv2.CV_32F, 1, 0, ksize=size)
    gy = cv2.Sobel(grey, cv2.CV_32F, 0, 1, ksize=size)
    if parameters.gradient_difference == "signed":
        return np.asarray(cv2.convertScaleAbs(cv2.subtract(gx, gy)), dtype=np.uint8)
    return np.clip(np.abs(gx) - np.abs(gy), 0, 255).astype(np.uint8)


def _fallback(height: int, width: int, kind: str) -> Mask:
    mask = np.full((height, width), kind == "whole")
    if kind == "center":
        mask[height // 4 : height - height // 4, width // 4 : width - width // 4] = True
    return mask


def draw_outline(image: Pixels, mask: Mask) -> Pixels:
    """Draw the outline of the region in red and dim the rest of the image."""
    picture = np.where(mask[:, :, None], image, image // 2).astype(np.uint8)
    outlines = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[-2]
    thickness = max(1, round(max(image.shape[:2]) / 150))
    return np.asarray(
        cv2.drawContours(picture, outlines, -1, (255, 40, 40), thickness), dtype=np.uint8
    )
