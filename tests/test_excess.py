"""More atoms for a patch than can matter are refused; ``help`` and ``-V``."""

from __future__ import annotations

import numpy as np
import pytest

import rsparse
from rsparse.core.dictionary import Dictionary
from rsparse.defenses import Resources, parse_defense
from rsparse.defenses.policy import default_policy
from rsparse.denoisers import parse_denoiser
from rsparse.options.purify import PurifyParameters
from rsparse.store.dictionaries import save_dictionary
from rsparse.store.records import DICTIONARY, Record
from tests.conftest import make_picture
from tests.refusals import refused

PATCH = "expected at most 48, since a patch of 4×4×3 has no more numbers, got 49"
ATOMS = "expected at most 6, since the dictionary has no more atoms, got 7"


def of(n_atoms: int, *, color: bool = True) -> Dictionary:
    rng = np.random.default_rng(0)
    atoms = rng.normal(size=(n_atoms, 48 if color else 16)).astype(np.float32)
    atoms /= np.linalg.norm(atoms, axis=1, keepdims=True)
    return Dictionary(atoms, 4, color=color)


@pytest.mark.parametrize(
    ("dictionary", "sparsity", "message"),
    [
        (of(64), 49, f"sparsity: {PATCH}"),
        (of(6), 7, f"sparsity: {ATOMS}"),
        (of(64, color=False), 17,
         "sparsity: expected at most 16, since a patch of 4×4 has no more numbers, got 17"),
    ],
)  # fmt: skip
def test_an_explicit_sparsity_beyond_a_patch_or_the_atoms(dictionary, sparsity, message):
    image = make_picture(0, 20, 24)
    for call in (
        lambda k: rsparse.purify(image, dictionary, PurifyParameters(sparsity=k, localize=False)),
        lambda k: rsparse.defend(
            image[None], f"median+regionsparse:sparsity={k},localize=no", dictionary
        ),
    ):
        with refused(message):
            call(sparsity)
        assert call(sparsity - 1).shape[-3:] == image.shape


def test_a_policy_is_for_dictionaries_of_any_size():
    default_policy().check_strength(Resources({"": of(6)}))
    (chain,) = parse_defense("policy:default+jpeg")
    chain.check_strength(Resources({"": of(6)}))


def test_the_commands_refuse_it_before_they_write(assert_error, pictures, tmp_path):
    path = tmp_path / "small.h5"
    save_dictionary(path, Record(DICTIONARY, "learn-dict", {}), of(6), {}, {})
    common = ("--dict", path, "-o", tmp_path / "out")
    assert_error(f"sparsity: {ATOMS}", "purify", pictures, "--sparsity", 7, *common)
    spec = "jpeg+regionsparse:sparsity=7"
    assert_error(f"sparsity: {ATOMS}", "purify", pictures, "--defense", spec, *common)
    assert_error(
        f"sparsity: {ATOMS}", "support", pictures, pictures, "--sparsity", 7, "--dict", path,
        "-o", tmp_path / "support.h5",
    )  # fmt: skip
    assert not (tmp_path / "out").exists()


def gaps(b: int, stride: int) -> str:
    return (
        f"stride: expected at most {b}, the side of the dictionary's patches, since pixels "
        f"between patches would not be coded, got {stride}"
    )


class TestStride:
    def test_an_explicit_stride_beyond_a_patch_is_refused(self):
        image = make_picture(0, 20, 24)
        for stride, spec in ((5, "stride=5"), (20, "stride=20,sparsity=1")):
            with refused(gaps(4, stride)):
                rsparse.defend(image[None], f"median+regionsparse:{spec},localize=no", of(64))
            parameters = PurifyParameters(stride=stride, localize=False)
            with refused(gaps(4, stride)):
                rsparse.purify(image, of(64), parameters)
        assert rsparse.purify(image, of(64), PurifyParameters(stride=4)).shape == image.shape

    def test_the_command_refuses_it_before_it_writes(self, assert_error, pictures, tmp_path):
        path = tmp_path / "small.h5"
        save_dictionary(path, Record(DICTIONARY, "learn-dict", {}), of(64), {}, {})
        assert_error(
            gaps(4, 9), "purify", pictures, "--sparsity", 2, "--stride", 9,
            "--dict", path, "-o", tmp_path / "out",
        )  # fmt: skip
        assert not (tmp_path / "out").exists()

    def test_the_denoiser_refuses_it(self):
        for b, given in ((8, Resources()), (4, Resources({"": of(64)}))):
            with refused(gaps(b, b + 1)):
                parse_denoiser(f"omp:stride={b + 1}").check(given)
            parse_denoiser(f"omp:stride={b}").check(given)

    def test_a_policy_codes_every_pixel_with_smaller_patches(self):
        image = make_picture(0, 21, 26)
        policy = "regionsparse:sparsity=3,localize=no,stride="
        (wide,), (whole,) = (parse_defense(f"{policy}{stride}") for stride in (8, 4))
        given = Resources({"": of(64)})
        clean = [defense.clean(image, given) for defense in (wide, whole)]
        np.testing.assert_array_equal(*clean)


class TestRoot:
    def test_short_and_long_version_are_equal(self, run_cli):
        assert run_cli("-V").stdout == run_cli("--version").stdout
        assert run_cli("-V").stdout == f"rsparse {rsparse.__version__}\n"

    @pytest.mark.parametrize("words", [(), ("purify",), ("model", "show"), ("policy",)])
    def test_help_is_that_of_the_command(self, run_cli, words):
        result = run_cli("help", *words)
        assert (result.exit_code, result.stdout) == (0, run_cli(*words, "--help").stdout)

    def test_help_of_an_unknown_command(self, assert_error):
        assert_error("unknown command 'purfy'; did you mean purify?", "help", "purfy")
