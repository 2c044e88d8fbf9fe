"""Finding images that show the same picture."""

from __future__ import annotations

import cv2
import numpy as np

from rsparse.core.copies import SIDE, count_strangers, find_copies


def pictures(n: int = 6) -> np.ndarray:
    rng = np.random.default_rng(0)
    rough = rng.uniform(60, 200, (n, 8, 8, 1)) + rng.uniform(-30, 30, (n, 8, 8, 3))
    return np.stack(
        [cv2.resize(x.astype(np.float32), (64, 64), interpolation=cv2.INTER_CUBIC) for x in rough]
    )


def thumbnails(images: list[np.ndarray]) -> np.ndarray:
    return np.stack([cv2.resize(x, (SIDE, SIDE), interpolation=cv2.INTER_AREA) for x in images])


def test_a_copy_is_found_whatever_was_done_to_it():
    images = list(np.clip(pictures(), 0, 255))
    _, coded = cv2.imencode(".jpg", images[1].astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 90])
    images += [
        images[0],
        cv2.imdecode(coded, cv2.IMREAD_COLOR).astype(np.float32),
        images[2][:, ::-1],
        cv2.resize(images[3], (48, 48), interpolation=cv2.INTER_AREA),
        images[0],
    ]
    assert find_copies(thumbnails(images)) == [(0, 6), (1, 7), (2, 8), (3, 9), (0, 10)]


def test_other_pictures_are_no_copies():
    whole = np.clip(pictures(20), 0, 255)
    assert find_copies(thumbnails(list(whole))) == []
    darker = np.clip(whole[:1] - 10, 0, 255)
    assert find_copies(thumbnails([whole[0], darker[0]])) == []


def test_plain_images_are_not_compared():
    assert find_copies(np.full((3, SIDE, SIDE, 3), 128.0)) == []


def test_images_under_the_wrong_names():
    whole = thumbnails(list(np.clip(pictures(20), 0, 255)))
    noisy = whole + np.random.default_rng(1).normal(0, 20, whole.shape)
    assert count_strangers(noisy, whole) == 0
    assert count_strangers(np.roll(noisy, 1, axis=0), whole) == 20
