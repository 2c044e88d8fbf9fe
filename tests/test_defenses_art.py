"""JPEG, median and bit depth, compared with the Adversarial Robustness Toolbox."""

from __future__ import annotations

import importlib
from importlib.util import find_spec

import numpy as np
import pytest

from rsparse.defenses import Resources, parse_defense
from tests.conftest import make_picture

CASES = [
    *((f"jpeg:quality={quality}", "JpegCompression", {"quality": quality})
      for quality in (20, 75, 95)),
    *((f"median:size={size}", "SpatialSmoothing", {"window_size": size}) for size in (2, 3, 5)),
    ("feature-squeezing", "SpatialSmoothing", {"window_size": 2}),
    *((f"bit-depth:bits={bits}", "FeatureSqueezing", {"bit_depth": bits}) for bits in (1, 3, 5)),
]  # fmt: skip


@pytest.fixture(scope="module")
def preprocessor(tmp_path_factory):
    """The toolbox's defenses, imported with a temporary home directory.

    On import the toolbox writes a settings file there. If two processes do so at once for the
    first time, they can fail with a NameError; and tests should not write to the user's home.
    """
    if find_spec("art") is None:
        pytest.skip("the adversarial robustness toolbox is not installed")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        return importlib.import_module("art.defences.preprocessor")


@pytest.mark.parametrize(("spec", "name", "options"), CASES, ids=[case[0] for case in CASES])
def test_they_agree_within_a_grey_level(spec, name, options, preprocessor):
    picture = make_picture(6, 61, 70)
    theirs = getattr(preprocessor, name)(clip_values=(0, 1), **options)
    x = (picture / 255).astype(np.float32)[None]
    ours = parse_defense(spec)[0].clean(picture, Resources())
    assert np.abs(ours - 255 * theirs(x)[0][0]).max() <= 1
