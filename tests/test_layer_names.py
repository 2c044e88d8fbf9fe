"""Names of exported nodes."""

from __future__ import annotations

import pytest

from rsparse.models.zoo.layer_names import layer_name


@pytest.mark.parametrize(
    ("architecture", "scope", "name"),
    [
        ("inception_v3", "/Conv2d_1a_3x3/conv/Conv", "conv/Conv"),
        ("inception_v3", "/Conv2d_2b_3x3/bn/act/Relu", "conv_2/Relu"),
        ("inception_v3", "/Pool1/MaxPool", "pool/MaxPool"),
        ("inception_v3", "/Mixed_5b/branch1x1/conv/Conv", "mixed/conv/Conv"),
        ("inception_v3", "/Mixed_5c/branch5x5_1/conv/Conv", "mixed_1/tower/conv/Conv"),
        ("inception_v3", "/Mixed_5c/branch3x3dbl_3/conv/Conv", "mixed_1/tower_1/conv_2/Conv"),
        ("inception_v3", "/Mixed_5c/branch_pool/conv/Conv", "mixed_1/tower_2/conv/Conv"),
        ("inception_v3", "/Mixed_5c/Concat", "mixed_1/Concat"),
        ("inception_v3", "/Mixed_6a/branch3x3/conv/Conv", "mixed_3/conv/Conv"),
        ("inception_v3", "/Mixed_6a/branch3x3dbl_2/conv/Conv", "mixed_3/tower/conv_1/Conv"),
        ("inception_v3", "/Mixed_6e/branch7x7dbl_5/conv/Conv", "mixed_7/tower_1/conv_4/Conv"),
        ("inception_v3", "/Mixed_7a/branch7x7x3_4/conv/Conv", "mixed_8/tower_1/conv_3/Conv"),
        ("inception_v3", "/Mixed_7c/branch3x3_2b/conv/Conv", "mixed_10/tower/mixed/conv_1/Conv"),
        ("inception_v3", "/global_pool/pool/GlobalAveragePool", "pool_3/GlobalAveragePool"),
        ("inception_v3", "/fc/Gemm", "logits/Gemm"),
        ("inception_v4", "/features/features.1/conv/Conv", "conv_1/Conv"),
        ("inception_v4", "/features/features.4/branch0/branch0.1/conv/Conv",
         "mixed_1/branch0.1/Conv"),
        ("resnet18", "/layer1/layer1.0/conv1/Conv", "layer1.0/conv1/Conv"),
        ("vit_tiny", "/blocks/blocks.0/Add_1", "blocks.0/Add_1"),
        ("resnet18", "/Conv2d_1a_3x3/conv/Conv", "Conv2d_1a_3x3/Conv"),
    ],
)  # fmt: skip
def test_names(architecture: str, scope: str, name: str) -> None:
    assert layer_name(architecture, scope) == name
