"""``rsparse certify``: certificates of known classifiers, resumed and merged runs, refusals."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from typer.testing import Result

from rsparse.commands.certify import sampling
from rsparse.core.smoothing import grey_levels, largest_radius
from rsparse.options.certify import CertifyParameters
from rsparse.store.certificates import load_certificates
from rsparse.store.images import ImageFile, encode_png
from rsparse.store.job import METHODS
from tests.conftest import tree_of
from tests.onnx_models import linear_classifier

SIZE = (8, 8)
COMMON = ("--denoiser", "none", "--n0", 10)
Run = Callable[..., Result]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Grey squares of three levels, a classifier that tells light from dark, and a constant one."""
    monkeypatch.chdir(tmp_path)
    for name, level in (("dark/a", 100), ("light/b", 150), ("light/c", 129)):
        path = tmp_path / "imgs" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode_png(np.full((*SIZE, 3), level, np.uint8)))
    m = 3 * SIZE[0] * SIZE[1]
    towards = np.stack([-np.ones(m), np.ones(m)]) / np.sqrt(m)
    threshold = 0.5 * np.sqrt(m)
    linear_classifier(tmp_path / "m.onnx", towards, SIZE, np.array([threshold, -threshold]))
    linear_classifier(tmp_path / "constant.onnx", 0 * towards, SIZE, np.array([0, 1]))
    for name in ("m", "constant"):
        described = {"mean": [0, 0, 0], "std": [1, 1, 1], "labels": ["dark", "light"]}
        (tmp_path / f"{name}.onnx.json").write_text(json.dumps(described))
    return tmp_path


def distance(level: int) -> float:
    """The L2 distance of a grey square from the boundary of the linear classifier."""
    return abs(level / 255 - 0.5) * np.sqrt(3 * SIZE[0] * SIZE[1])


def result_of(result: Result) -> dict:
    assert result.exit_code == 0, result.stderr
    shown: dict = json.loads(result.stdout)
    return shown


def test_a_linear_classifier(folder: Path, run_cli: Run) -> None:
    """The certified radii are below the distances from the boundary, and near them."""
    shown = result_of(
        run_cli("certify", "imgs", "-m", "m.onnx", "-o", "cert", "--n", 3000,
                "--sigma", "1,0.5", *COMMON, "--json")
    )  # fmt: skip
    found = {image["name"]: image["certificates"] for image in shown["images"]}
    assert [c["sigma"] for c in found["dark/a"]] == [0.5, 1.0]
    for name, level, index in (("dark/a", 100, 0), ("light/b", 150, 1)):
        for certificate in found[name]:
            assert certificate["class"] == index
            cap = largest_radius(3000, certificate["sigma"], 0.001)
            assert certificate["radius"] < min(distance(level), cap + 1e-9)
            assert certificate["radius"] > 0.85 * min(distance(level), cap)
            assert certificate["grey_levels"] == grey_levels(certificate["radius"], SIZE)
    assert distance(129) < 0.1
    assert found["light/c"][1]["radius"] < distance(129)
    assert shown["labels"] == "class subfolders"
    at = {row["radius"]: row for row in shown["by_sigma"][1]["certified_accuracy"]}
    assert (at[0.25]["count"], at[0.25]["of"]) == (2, 3)
    assert at[0.25]["interval_95"][0] < 2 / 3 < at[0.25]["interval_95"][1]


def test_a_constant_classifier_has_the_cap_and_one_class_only(folder: Path, run_cli: Run) -> None:
    shown = result_of(
        run_cli("certify", "imgs", "-m", "constant.onnx", "-o", "cert", "--n", 150,
                "--sigma", "0.25", *COMMON, "--json")
    )  # fmt: skip
    cap = largest_radius(150, 0.25, 0.001)
    (of_sigma,) = shown["by_sigma"]
    assert of_sigma["cap"] == cap
    for image in shown["images"]:
        (certificate,) = image["certificates"]
        assert (certificate["class_name"], certificate["radius"]) == ("light", cap)
    counts = {row["radius"]: row["count"] for row in of_sigma["certified_accuracy"]}
    assert counts == {0.0: 2, 0.05: 2, 0.1: 2, 0.15: 2, 0.25: 2}  # the dark one is wrong
    assert "±1 grey level everywhere is L2 0.05 at 8×8" in shown["note"]
    assert "so no certificate" not in shown["note"]  # 0.05 is within the cap of such small images


def test_the_table_says_what_a_radius_covers(folder: Path, run_cli: Run) -> None:
    result = run_cli("certify", "imgs", "-m", "m.onnx", "-o", "cert", "--n", 100,
                     "--sigma", "0.01", *COMMON)  # fmt: skip
    assert result.exit_code == 0
    assert "certified as the right class within an L2 radius" in result.stderr
    lines = result.stderr.splitlines()
    heads = next(line.split() for line in lines if "abstained" in line)
    (row,) = (line.split() for line in lines if line.split()[:1] == ["0.01"])
    assert (heads[0], heads[-2:]) == ("σ", ["grey", "levels"])
    assert row[-3:] == ["0", "0.015", f"±{grey_levels(largest_radius(100, 0.01, 0.001), SIZE):.2f}"]
    assert "so no certificate here covers such an attack" in result.stderr
    assert "only 100 samples, so that radii are small" in result.stderr
    text = (folder / "cert/certificates.csv").read_text()
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["name"] for row in rows] == ["dark/a", "light/b", "light/c"]
    assert [row["right"] for row in rows] == ["yes"] * 3
    assert float(rows[0]["grey_levels"]) == pytest.approx(
        grey_levels(float(rows[0]["radius"]), SIZE), abs=1e-3
    )
    exact = largest_radius(100, 0.01, 0.001)  # a bound is not rounded up
    assert exact - 1e-6 < float(rows[0]["cap"]) <= exact
    assert (folder / "cert/certified.png").read_bytes().startswith(b"\x89PNG")


def test_a_coin_abstains(folder: Path, run_cli: Run) -> None:
    """On the boundary, half of the samples are light."""
    m = 3 * SIZE[0] * SIZE[1]
    level = 100 / 255 * np.sqrt(m)
    towards = np.stack([-np.ones(m), np.ones(m)]) / np.sqrt(m)
    linear_classifier(folder / "m.onnx", towards, SIZE, np.array([level, -level]))
    (folder / "imgs/light/b.png").unlink()
    (folder / "imgs/light/c.png").unlink()
    result = run_cli("certify", "imgs", "-m", "m.onnx", "-o", "cert", "--n", 1000, *COMMON)
    assert result.exit_code == 0
    found, _ = load_certificates(folder / "cert")
    assert found.certified[0].tolist() == [[-1]]
    assert found.counts[:, 4].min() > 400
    assert "ABSTAIN" in (folder / "cert/certificates.csv").read_text()


def test_equal_bytes_for_any_number_of_jobs(folder: Path, run_cli: Run) -> None:
    for jobs in (1, 2):
        run_cli("certify", "imgs", "-m", "m.onnx", "-o", f"cert{jobs}", "--n", 250,
                "--sigma", "0.5,1", "--denoiser", "omp", "--n0", 110, "-j", jobs)  # fmt: skip
    assert tree_of(folder / "cert1") == tree_of(folder / "cert2")


def test_samples_merge_to_those_of_one_run(folder: Path, run_cli: Run) -> None:
    def certify(output: str, *options: object, images: str = "imgs") -> None:
        result = run_cli("certify", images, "-m", "m.onnx", "-o", output, "--sigma", "0.5,1",
                         *COMMON, *options)  # fmt: skip
        assert result.exit_code == 0, result.stderr

    certify("all", "--n", 450)
    certify("a", "--n", 200)
    certify("b", "--n", 250, "--first", 200)
    shown = result_of(run_cli("certify", "a", "b/certificates.h5", "-o", "ab", "--json"))
    assert (shown["n"], shown["labels"]) == (450, "class subfolders")
    whole, record = load_certificates(folder / "all")
    merged, of_merged = load_certificates(folder / "ab")
    assert np.array_equal(whole.counts, merged.counts)
    assert np.array_equal(whole.certified[2], merged.certified[2])
    assert of_merged["parameters"] == record["parameters"]
    assert (folder / "all/certificates.csv").read_bytes() == (
        folder / "ab/certificates.csv"
    ).read_bytes()
    assert (folder / "all/certified.png").read_bytes() == (folder / "ab/certified.png").read_bytes()
    assert run_cli("verify", "ab", "a", "b").exit_code == 0

    certify("light", "--n", 450, images="imgs/light")
    (folder / "dark").mkdir()
    (folder / "rest").mkdir()
    shutil.copytree(folder / "imgs/dark", folder / "rest/dark")
    certify("dark-only", "--n", 450, images="rest")
    result_of(run_cli("certify", "dark-only", "light", "-o", "both", "--json"))
    both, _ = load_certificates(folder / "both")
    assert both.names == ("b", "c", "dark/a")


def test_what_does_not_fit_together_is_not_merged(folder: Path, run_cli: Run) -> None:
    base = ("-m", "m.onnx", "--sigma", "0.5", *COMMON)

    def certify(output: str, *options: object, images: str = "imgs") -> None:
        result = run_cli("certify", images, "-o", output, *base, "--n", 200, *options)
        assert result.exit_code == 0, result.stderr

    later = ("--n", 100, "--first", 200)
    certify("a")
    certify("again", "--n", 100, "--first", 100)
    certify("seed", "--seed", 1)
    certify("alpha", "--alpha", 0.01)
    certify("sigma", "--sigma", "1")
    certify("more", *later, images="imgs/dark")
    (folder / "imgs/dark/a.png").write_bytes(encode_png(np.full((*SIZE, 3), 99, np.uint8)))
    certify("changed", *later)
    shutil.copy("m.onnx.json", "steep.onnx.json")
    m = 3 * SIZE[0] * SIZE[1]
    linear_classifier(folder / "steep.onnx", np.outer([-1, 1], np.ones(m)), SIZE, np.array([50, 0]))
    certify("model", "-m", "steep.onnx")

    def refusal(*paths: str) -> str:
        result = run_cli("certify", *paths, "-o", "merged")
        assert result.exit_code == 2
        assert not (folder / "merged").exists()
        return result.stderr.removeprefix("rsparse: error: ").strip()

    where = "certificates.h5"
    assert refusal("a", "again") == (
        f"again/{where}: counts samples of 'dark/a' that another input counts, too"
    )
    assert refusal("a", "seed") == f"seed/{where}: has another seed or method than a/{where}"
    assert refusal("a", "alpha") == f"alpha/{where}: has another alpha than a/{where}"
    assert refusal("a", "sigma") == f"sigma/{where}: has another sigma than a/{where}"
    assert refusal("a", "model") == (
        f"model/{where}: is of another model or dictionary than a/{where}"
    )
    assert refusal("a", "changed") == f"changed/{where}: has another file of the image 'dark/a'"
    assert refusal("a", "more") == (
        f"a/{where}: the samples 200–299 are counted for 'a', but the samples 0–199 for 'dark/a'; "
        "merge what covers all images alike"
    )
    assert refusal("a", "imgs") == f"imgs: holds no {where}, which the others do"
    assert refusal("a", "gone") == "gone: no such file or folder"


def test_an_interrupted_run_continues_at_the_block(
    folder: Path, run_cli: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ("certify", "imgs", "-m", "m.onnx", "--n", 500, "--sigma", "0.5", *COMMON, "-j", 1)
    assert run_cli(*arguments, "-o", "whole").exit_code == 0
    counted = []
    original = sampling.CountClasses.__call__

    def interrupted(self: sampling.CountClasses, block: sampling.Block) -> dict:
        if len(counted) == 8:
            raise KeyboardInterrupt
        counted.append(block.name)
        return original(self, block)

    with monkeypatch.context() as patched:
        patched.setattr(sampling.CountClasses, "__call__", interrupted)
        assert run_cli(*arguments, "-o", "cert").exit_code == 130
    assert not (folder / "cert/certificates.h5").exists()

    def counting(self: sampling.CountClasses, block: sampling.Block) -> dict:
        counted.append(block.name)
        return original(self, block)

    with monkeypatch.context() as patched:
        patched.setattr(sampling.CountClasses, "__call__", counting)
        result = run_cli(*arguments, "-o", "cert")
    assert result.exit_code == 0
    assert len(counted) == len(set(counted)) == 3 * 6
    assert "3 (1 from an earlier run)" in result.stderr
    assert tree_of(folder / "cert") == tree_of(folder / "whole")


def test_a_bad_image_does_not_stop_the_others(folder: Path, run_cli: Run) -> None:
    (folder / "imgs/dark/bad.png").write_bytes(b"\x89PNG\r\n\x1a\n nothing more")
    result = run_cli("certify", "imgs", "-m", "m.onnx", "-o", "cert", "--n", 120, *COMMON)
    assert result.exit_code == 1
    skipped = [line for line in result.stderr.splitlines() if "skipped" in line]
    assert len(skipped) == 1
    assert skipped[0].startswith("rsparse: skipped: imgs/dark/bad.png: ")
    found, _ = load_certificates(folder / "cert")
    assert found.names == ("dark/a", "light/b", "light/c")


def test_a_bad_image_with_a_line_break_in_its_name(folder: Path, run_cli: Run) -> None:
    """It is told by its whole name, and is not taken for the image of the first line."""
    (folder / "imgs/dark/a\nbad.png").write_bytes(b"\x89PNG\r\n\x1a\n nothing more")
    arguments = ("certify", "imgs", "-m", "m.onnx", "-o", "cert", "--n", 120, *COMMON, "--json")
    result = run_cli(*arguments)
    assert result.exit_code == 1
    (failed,) = json.loads(result.stdout)["failed"]
    assert failed["name"] == "dark/a\nbad"
    found, _ = load_certificates(folder / "cert")
    assert found.names == ("dark/a", "light/b", "light/c")


def test_show_and_verify(folder: Path, run_cli: Run) -> None:
    assert (
        run_cli("certify", "imgs", "-m", "m.onnx", "-o", "cert", "--n", 120, "--n0", 10,
                "--denoiser", "omp").exit_code
        == 0
    )  # fmt: skip
    shown = run_cli("show", "cert")
    assert f"rsparse-certificates 1, by certify (method {METHODS['certify']})" in shown.stdout
    assert "denoiser = omp:threshold=3,stride=4" in shown.stdout
    assert "certified/radius: 1×3 float64" in shown.stdout
    (artifact,) = json.loads(run_cli("verify", "cert", "--json").stdout)["artifacts"][:1]
    assert artifact["format"] == "rsparse-certificates"
    assert artifact["inputs_found"] == 2

    table = folder / "cert/certificates.csv"
    table.write_text(table.read_text().replace("dark/a", "dark/x"))
    result = run_cli("verify", "cert")
    assert result.exit_code == 1
    assert "certificates.csv: is not the table of certificates.h5" in result.stderr


def test_a_radius_that_the_counts_do_not_give_is_refused(folder: Path, run_cli: Run) -> None:
    from rsparse.store.checksums import append_checksum

    assert (
        run_cli("certify", "imgs", "-m", "m.onnx", "-o", "cert", "--n", 120, *COMMON).exit_code == 0
    )
    path = folder / "cert/certificates.h5"
    whole = path.read_bytes()
    for name, message in (
        ("certified/radius", "certified/radius: does not follow from the counts"),
        ("count/estimate", "count/estimate: expected 120 samples of each image and sigma"),
    ):
        path.write_bytes(whole[: whole.rindex(b"rsparse sha256")])
        with h5py.File(path, "r+") as file:
            file[name][...] = file[name][...] * 2
        append_checksum(path)
        result = run_cli("verify", "cert")
        assert result.exit_code == 1
        assert message in result.stderr


def test_refusals(folder: Path, assert_error: Callable[..., None]) -> None:
    assert_error("certify needs a classifier: --model FILE", "certify", "imgs", "-o", "c")
    given = ("certify", "imgs", "-m", "m.onnx", "-o", "c")
    assert_error(
        "sigma: expected a number above 0 and at most 2, or several separated by commas, "
        "got '0.1,x'",
        *given, "--sigma", "0.1,x",
    )  # fmt: skip
    assert_error("sigma: names the same noise twice: .1,0.1", *given, "--sigma", ".1,0.1")
    assert_error("first: expected a multiple of 100, got 150", *given, "--first", 150)
    assert_error("n: 9 samples can certify nothing with alpha 0.001; give more", *given, "--n", 9)
    assert_error(
        "c.h5: name a folder; it will hold certificates.h5",
        "certify", "imgs", "-m", "m.onnx", "-o", "c.h5",
    )  # fmt: skip
    (folder / "c").mkdir()
    (folder / "c/certificates.h5").write_text("something")
    for option in (
        ["--sigma", 0.12], ["--model", "m.onnx"], ["--first-class", 0], ["--labels", "labels.csv"],
        ["--dict", "dict.h5"], ["--preset", "unit"],
    ):  # fmt: skip
        assert_error(
            f"{option[0]} cannot be used when certificates are merged, which keep the classifier, "
            "the noise and the labels that they were made with; leave it out",
            "certify", "c", "-o", "d", *option,
        )  # fmt: skip
    assert_error("c/certificates.h5: exists; choose another output or pass --overwrite", *given)


def test_blocks_are_made_when_they_are_asked_for() -> None:
    images = [ImageFile(name, Path(f"{name}.png"), Path()) for name in ("a", "b")]
    parameters = CertifyParameters(sigma="0.1,0.2", n0=110, n=250, first=300)
    blocks = sampling.Blocks(images, parameters)
    assert len(blocks) == len(list(blocks)) == len({block.name for block in blocks}) == 20
    first = [(b.image, b.k, b.phase, b.number, b.n) for b in blocks[:5]]
    assert first == [
        ("a", 0, 0, 0, 100), ("a", 0, 0, 1, 10),
        ("a", 0, 1, 3, 100), ("a", 0, 1, 4, 100), ("a", 0, 1, 5, 50),
    ]  # fmt: skip
    assert blocks[12].image == "b"
    assert sampling.image_of(blocks[19].name) == "b"
    assert (blocks[19].k, blocks[19].path) == (1, Path("b.png"))
