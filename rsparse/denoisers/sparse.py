"""Define the denoisers that code patches sparsely: by pursuit, and by an unrolled coder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

from rsparse.data import denoising_weights
from rsparse.defenses.defense import Resources
from rsparse.defenses.regionsparse import refuse_gaps
from rsparse.denoisers.denoiser import Denoiser
from rsparse.errors import InputError
from rsparse.options.fields import parameter

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from rsparse.core.dictionary import CentredAtoms
    from rsparse.core.unrolled import UnrolledWeights
    from rsparse.denoisers.denoiser import Floats

_EMBEDDED_PATCH = 8  # side of the embedded atoms' patches


@dataclass(frozen=True)
class OmpDenoiser(Denoiser):
    """Sparse coding by Orthogonal Matching Pursuit with a threshold on the correlations.

    References
    ----------
    Elad, Aharon (2006), "Image denoising via sparse and redundant representations over learned
    dictionaries".
    """

    name: ClassVar[str] = "omp"
    strengths: ClassVar[tuple[str, ...]] = ("threshold", "stride")

    threshold: float = parameter(
        3.0,
        "C: atoms are taken while one correlates with the residual by more than C·σ.",
        above=0,
        maximum=100,
    )
    stride: int = parameter(4, "Distance of neighbouring patches in pixels.", minimum=1, maximum=64)
    sparsity: int = parameter(32, "Most atoms of a patch.", minimum=1, maximum=1024)
    weighted: bool = parameter(True, "Let patches of many atoms count for less in overlaps.")
    coarse: bool = parameter(False, "Denoise the means of patches, too, at a second scale.")
    dictionary: str = parameter(
        "", "Name of the dictionary; by default the one without a name, or the embedded one."
    )

    def denoise(self, x: Floats, sigma: float, resources: Resources) -> Floats:
        from rsparse.core.denoising import OmpDenoising, omp_denoise

        how = OmpDenoising(self.threshold, self.stride, self.sparsity, self.weighted, self.coarse)
        atoms = _atoms(self.dictionary, resources)
        _refuse_smaller(x.shape[:2], atoms.patch_size)
        return omp_denoise(x, sigma, atoms, how)

    @property
    def dictionaries(self) -> tuple[str, ...]:
        return (self.dictionary,)

    def check(self, resources: Resources) -> None:
        dictionary = resources.dictionaries.get(self.dictionary)
        if dictionary is None and self.dictionary:
            name = self.dictionary
            raise InputError(f"omp needs a dictionary named {name!r}: --dict {name}=dict.h5")
        if dictionary is not None and not dictionary.color:
            raise InputError("omp needs a dictionary of colour patches: learn-dict --color")
        b = _EMBEDDED_PATCH if dictionary is None else dictionary.patch_size
        refuse_gaps(b, self.stride)

    def codecs(self) -> dict[str, str]:
        return {} if self.dictionary else embedded_digest()


@dataclass(frozen=True)
class UnrolledDenoiser(Denoiser):
    """Two unrolled steps of sparse coding, with learned atoms, thresholds and weights.

    References
    ----------
    Gregor, LeCun (2010); Simon, Elad (2019); Scetbon, Elad, Milanfar (2021).
    """

    name: ClassVar[str] = "unrolled"
    strengths: ClassVar[tuple[str, ...]] = ("stride",)

    stride: int = parameter(
        4,
        "Distance of neighbouring patches in pixels; a smaller one is slower and a little better.",
        minimum=1,
        maximum=8,
    )
    keeps: str = parameter(
        "answers",
        "What its weights were trained to keep: a classifier's answers, or pixels (squared error).",
        choices=("answers", "pixels"),
    )

    def denoise(self, x: Floats, sigma: float, resources: Resources) -> Floats:  # noqa: ARG002
        from rsparse.core.unrolled import PATCH_SIZE, unrolled_denoise

        _refuse_smaller(x.shape[:2], PATCH_SIZE)
        return unrolled_denoise(x, sigma, embedded_weights(self.keeps), self.stride)

    @property
    def has_device_part(self) -> bool:
        return True

    def on(self, device: str) -> Callable[[torch.Tensor, float], torch.Tensor]:
        from rsparse.core.engines.torch.unrolled import unrolled_on
        from rsparse.core.unrolled import PATCH_SIZE

        network = unrolled_on(embedded_weights(self.keeps), self.stride, device)

        def denoise(x: torch.Tensor, sigma: float) -> torch.Tensor:
            _refuse_smaller(x.shape[2:], PATCH_SIZE)
            return network(x, sigma)

        return denoise

    def codecs(self) -> dict[str, str]:
        return embedded_digest()


def _refuse_smaller(shape: Sequence[int], b: int) -> None:
    height, width = shape
    if min(height, width) < b:
        raise InputError(f"is {width}×{height} pixels, smaller than a patch of {b}×{b}")


def _atoms(name: str, resources: Resources) -> CentredAtoms:
    """The atoms of a dictionary, or the embedded ones, without the means of their channels."""
    dictionary = resources.dictionaries.get(name)
    return _embedded_atoms() if dictionary is None else dictionary.centred


@cache
def _embedded_atoms() -> CentredAtoms:
    from rsparse.core.dictionary import CentredAtoms

    return CentredAtoms.of(_arrays()["atoms"].astype("float32"), _EMBEDDED_PATCH)


@cache
def embedded_weights(keeps: str) -> UnrolledWeights:
    """The embedded weights of the unrolled coder, in one of two versions."""
    from rsparse.core.unrolled import weights_from

    start = f"{keeps}/"
    return weights_from(
        {
            name.removeprefix(start): array
            for name, array in _arrays().items()
            if name.startswith(start)
        }
    )


@cache
def _arrays() -> dict[str, NDArray[Any]]:
    import numpy as np

    with np.load(denoising_weights(), allow_pickle=False) as arrays:
        return dict(arrays)


@cache
def embedded_digest() -> dict[str, str]:
    """The digest of the embedded weights, for records."""
    from rsparse.store.files import sha256_of_file

    return {"denoising.npz": sha256_of_file(denoising_weights())}
