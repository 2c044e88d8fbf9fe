"""What can be set in the paper's method: learning, localizing, purifying."""

from __future__ import annotations

import dataclasses

from rsparse.options.fields import Parameters, parameter


@dataclasses.dataclass(frozen=True)
class LearnParameters(Parameters):
    """Dictionary learning (the paper's Section IV-B)."""

    patch_size: int = parameter(8, "Side b of a patch in pixels.", minimum=2, maximum=64)
    color: bool = parameter(
        True, "Learn colour patches (b·b·3 numbers) or grey ones (b·b).", flag="--color/--grey"
    )
    n_atoms: int = parameter(256, "Number of atoms k in the dictionary.", minimum=2, maximum=65536)
    patches_per_image: int = parameter(
        300, "Random patches n taken from each image.", minimum=1, maximum=1_000_000
    )
    smoothing: bool = parameter(True, "Smooth each image by non-local means before taking patches.")
    smoothing_h: float = parameter(
        10.0, "Strength h of the smoothing (eq. 16), in grey levels.", above=0, maximum=255
    )
    smoothing_template: int = parameter(
        7, "Side of the patches that the smoothing compares.", minimum=1, maximum=31, odd=True
    )
    smoothing_search: int = parameter(
        21, "Side of the window that the smoothing searches.", minimum=1, maximum=99, odd=True
    )
    normalize: bool = parameter(
        True, "Standardise each dimension over the patches of one image (eq. 17)."
    )
    training: bool = parameter(
        True,
        "Learn the atoms, or keep overcomplete cosines (DCT) that no image has taught.",
    )
    coder: str = parameter(
        "omp",
        "How patches are coded while learning: omp, as purifying does; "
        "lars or cd, under the l1 penalty of eq. (20), by scikit-learn, many times slower.",
        choices=("omp", "lars", "cd"),
    )
    atoms_per_patch: int = parameter(
        5, "Atoms K that code a patch while learning by omp.", minimum=1, maximum=64
    )
    penalty: float = parameter(
        6.0, "Weight β of the l1 norm while learning by lars or cd.", above=0, maximum=1e6
    )
    batch_size: int = parameter(512, "Patches in one learning step.", minimum=1, maximum=1_000_000)
    passes: int = parameter(1, "Times the folder is gone through.", minimum=1, maximum=1000)
    max_coherence: float = parameter(
        0.98,
        "Atoms whose inner product with another exceeds this are replaced.",
        above=0,
        maximum=1,
    )
    held_out: float = parameter(
        0.1, "Share of each image's patches kept to measure the error.", minimum=0, maximum=0.9
    )
    levels: str = parameter(
        "keep:period=4<0.5,bilateral+whole:5:stride=8<1.6,"
        "bilateral+whole:16:weakest=2:stride=5<6,bilateral+whole:1",
        "How purify --sparsity auto chooses by the noise in an image, in grey levels: "
        "keep:period=4<0.5,bilateral+whole:4<1.6,region:1 leaves images with less than 0.5 as they "
        "are, unless their noise differs between even and odd pixels by more than 4, as attacks' "
        "does; codes the whole image with K = 4 after a bilateral filter below 1.6, above that the "
        "object region with K = 1. After K there may be :weakest=… and :stride=…, as of purify. "
        "Empty: K = 2 on the object region for all.",
    )
    seed: int = parameter(0, "Seed of all random choices.", minimum=0, maximum=2**32 - 1)


@dataclasses.dataclass(frozen=True)
class LocalizeParameters(Parameters):
    """Object localization (the paper's Section IV-C a)."""

    gradient: str = parameter(
        "sobel", "Operator for the gradients Gx and Gy.", choices=("sobel", "scharr")
    )
    difference: str = parameter(
        "signed",
        "signed: |Gx − Gy|, as the recipe's code does; "
        "horizontal: |Gx| − |Gy| where positive, as the paper's sentence says.",
        choices=("signed", "horizontal"),
    )
    blur: int = parameter(9, "Side of the box blur before thresholding.", minimum=1, maximum=99)
    threshold: int = parameter(
        90, "Grey level above which a pixel counts as object.", minimum=0, maximum=254
    )
    otsu: bool = parameter(False, "Choose the threshold of each image by Otsu's method.")
    closing: int = parameter(
        25, "Side of the square that closes gaps between edges.", minimum=1, maximum=999
    )
    rounds: int = parameter(
        4, "3×3 erosions, then as many dilations, that drop specks.", minimum=0, maximum=100
    )
    contours: str = parameter(
        "largest", "Which outlines become the object region.", choices=("largest", "all")
    )
    fallback: str = parameter(
        "whole",
        "Region of an image in which nothing is found: the whole image, its central quarter, "
        "or nothing.",
        choices=("whole", "center", "none"),
    )
    working_size: int = parameter(
        299,
        "Images whose longer side exceeds this are searched at this size, since the other "
        "values are in pixels; 0 searches at full size.",
        minimum=0,
        maximum=65536,
    )


@dataclasses.dataclass(frozen=True)
class PurifyParameters(Parameters):
    """RegionSparse coding (the paper's Section IV-C)."""

    sparsity: int | None = parameter(
        None,
        "Atoms K per patch; fewer remove more, of the attack and of the image. auto: by the noise "
        "in each image, as the dictionary's levels say, or 2 where it has none.",
        minimum=1,
        maximum=1024,
        none="auto",
    )
    weakest: float | None = parameter(
        None,
        "Stop at atoms that correlate less with what is left of a patch, which is standardised: "
        "flat patches then get fewer than K. auto: as the dictionary's levels say, or 0, K alone.",
        minimum=0,
        maximum=1000,
        none="auto",
    )
    stride: int | None = parameter(
        None,
        "Pixels between neighbouring patches; smaller is slower and smoother. auto: as the "
        "dictionary's levels say, or 2.",
        minimum=1,
        maximum=64,
        none="auto",
    )
    localize: bool = parameter(True, "Code the object region only, or the whole image.")
    prefilter: bool = parameter(
        False, "Filter the whole image, as the background is, before it is coded."
    )
    background: bool = parameter(
        True, "Filter what is outside the object region, or leave it as it is."
    )
    bilateral_diameter: int = parameter(
        9, "Diameter of the background's bilateral filter.", minimum=1, maximum=99
    )
    bilateral_sigma_color: float = parameter(
        80.0, "Its tolerance between colours, in grey levels.", above=0, maximum=1000
    )
    bilateral_sigma_space: float = parameter(
        80.0, "Its reach in pixels, within the diameter.", above=0, maximum=1000
    )
    feather: float = parameter(
        2.0, "Softness of the region's border in pixels; 0 cuts hard.", minimum=0, maximum=256
    )


@dataclasses.dataclass(frozen=True)
class PurifyRunParameters(Parameters):
    """How a folder is purified, whatever the parameters."""

    device: str = parameter(
        "cpu",
        "Where to compute: cpu; cuda, a GPU through torch (of the extra attack); auto, cuda where "
        "there is one.",
    )
    size: str | None = parameter(
        None,
        "Resize images before they are cleaned, to a side such as 299 or height x width such as "
        "224x320. evaluate and train clean at the model's input size.",
        none="native",
    )
    batch_size: int = parameter(
        16,
        "Images that a GPU purifies together; the CPU takes one at a time.",
        minimum=1,
        maximum=65536,
    )
    seed: int = parameter(
        0, "Seed of defenses that draw random numbers.", minimum=0, maximum=2**32 - 1
    )
