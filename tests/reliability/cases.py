"""Every command on tiny inputs: what the campaigns kill, starve and feed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

CLEAN, ADVERSARIAL, MODEL = "inputs/clean", "inputs/adv", "inputs/colours.onnx"
NETWORK = "inputs/network.onnx"
DICT = "-d inputs/dict.h5"
EVALUATION = "inputs/eval"


@dataclass(frozen=True)
class Case:
    """A command line in the sandbox.

    Attributes
    ----------
    name : str
    arguments : tuple of str
    before : tuple of str
        A command line whose result lies in ``work/`` already when this one starts.
    together : tuple of tuples of str
        Files below ``work/`` that are one artifact: the one that readers open, then the others.
        Folders with a manifest need not be named.
    folders : tuple of str
        Folders below ``work/`` that appear as a whole.
    slow : bool
        Whether one run takes more than a second.
    """

    name: str
    arguments: tuple[str, ...]
    before: tuple[str, ...] = ()
    together: tuple[tuple[str, ...], ...] = ()
    folders: tuple[str, ...] = ()
    slow: bool = False

    @property
    def command(self) -> str:
        """The command's name, for counts."""
        group = self.arguments[0] in ("dictionaries", "model", "policy")
        return " ".join(self.arguments[: 2 if group else 1])

    @property
    def overwrites(self) -> bool:
        """Whether it replaces what lies there."""
        return "--overwrite" in self.arguments

    def __str__(self) -> str:
        return self.name


def _case(line: str, name: str = "", old: str = "", **options: object) -> Iterator[Case]:
    """The case of a fresh output; with ``old`` also that of an output that is replaced.

    ``old`` is an option that makes the older artifact differ.
    """
    arguments = tuple(line.split())
    first = Case(name or arguments[0], arguments, **options)  # type: ignore[arg-type]
    yield first
    if old:
        yield replace(
            first, name=f"{first.name} --overwrite", arguments=(*arguments, "--overwrite"),
            before=(*arguments, *old.split()),
        )  # fmt: skip


def _in_processes(case: Case) -> Case:
    arguments = list(case.arguments)
    arguments[arguments.index("-j") + 1] = "2"
    return replace(case, name=f"{case.name} -j 2", arguments=tuple(arguments), slow=True)


def all_cases() -> list[Case]:
    """The cases of all commands."""
    learn = "learn-dict inputs/clean --patch-size 4 --n-atoms 16 --patches-per-image 30 -j 1"
    evaluate = (
        f"evaluate {CLEAN} -m {MODEL} -a fgsm:eps=4 --no-extra-checks --max-images 6 -j 1 "
        "-o work/eval --defense jpeg:quality=40"
    )
    tables = (
        "eval/evaluation.h5",
        *(f"eval/{n}.csv" for n in ("results", "images", "checks", "defenses")),
    )
    measure = f"activations {CLEAN} {ADVERSARIAL} -m {NETWORK} -j 1"
    train = (
        f"train {CLEAN} -m {MODEL} --distill --epochs 2 --learning-rate 0.02 -j 1 "
        "--batch-size 4 --defense median"
    )
    return [
        *_case(f"{learn} -o work/d.h5", old="--seed 5"),
        *_case(f"{learn} -o work/d.h5 --preview work/d.png", "learn-dict --preview", "--seed 5",
               together=(("d.h5", "d.png"),)),
        *_case(f"localize {CLEAN} -o work/masks -j 1", old="--otsu"),
        *_case(f"localize {CLEAN} -o work/masks --overlay work/outlines -j 1",
               "localize --overlay"),
        *_case(f"purify {CLEAN} {DICT} -o work/out -j 1", old="--sparsity 2"),
        *_case(f"purify {CLEAN} {DICT} --sparsity 1 --masks inputs/masks -o work/out -j 1",
               "purify --masks"),
        *_case(f"attack {CLEAN} -m {MODEL} -a fgsm:eps=4 -o work/adv -j 1", old="--seed 3"),
        *_case(f"attack {CLEAN} -m {MODEL} -a mi-fgsm:d=0.1,steps=3 -o work/adv -j 1",
               "attack mi-fgsm:d=0.1"),
        *_case(f"attack {CLEAN} -m {MODEL} -a bim:eps=2,8 --keep-float -o work/adv -j 1",
               "attack bim:eps=2,8 --keep-float", "--seed 3"),
        *_case(f"classify {CLEAN} -m {MODEL} -o work/p.csv -j 1", "classify -o p.csv",
               "--top 1", together=(("p.csv", "p.csv.json"),)),
        *_case(f"classify {CLEAN} -m {MODEL} -o work/p.h5 -j 1", "classify -o p.h5",
               "--top 1"),
        *_case(f"classify {CLEAN} -m {MODEL} -j 1", "classify to stdout"),
        *_case(f"{measure} -o work/a.h5 --plot work/a.png", "activations --plot", "--gamma 1",
               together=(("a.h5", "a.png"),)),
        *_case(f"attention {CLEAN} {ADVERSARIAL} -m {NETWORK} -o work/cams -j 1",
               old="--raw-weights"),
        *_case(evaluate, old="--seed 3", together=(tables,)),
        *_going_on(evaluate, tables),
        *_case(f"{train} -o work/new.onnx", old="--seed 3"),
        *_case(f"{train} -o work/new.onnx --plot work/curve.png", "train --plot",
               together=(("new.onnx", "curve.png"),)),
        *_case(f"report {EVALUATION} -o work/page --sheet-images 2 --attention-images 1", "report",
               "--sheet-images 1", folders=("page",)),
        *_case(f"report {EVALUATION} -o work/tables --format md --format csv", "report --format",
               folders=("tables",)),
        *_case("model tag inputs/plain.onnx --preset unit -o work/tagged.onnx", "model tag",
               "--class-offset 0"),
        *_case("fetch test_resnet.r160_in1k --no-pretrained -o work/net.onnx", "fetch", "--seed 3",
               slow=True),
        *_case("fetch test_resnet.r160_in1k -o work/net.onnx", "fetch from the hub", slow=True),
        *_case("demo -o work/demo -j 1", slow=True, together=(
            ("demo/activations.h5", "demo/activations.png"), ("demo/dict.h5", "demo/dict.png"))),
        *_case("verify inputs/adv inputs/eval inputs/a.h5 inputs/p.csv inputs/trained.onnx"),
        *_case("show inputs/adv"), *_case("policy show default --toml", "policy show"),
        *_case("policy list", "policy list"), *_case(f"model show {MODEL}", "model show"),
    ]  # fmt: skip


def _going_on(evaluate: str, tables: tuple[str, ...]) -> Iterator[Case]:
    """An evaluation that gets one more defense, and keeps the rest."""
    before = tuple(evaluate.split())
    yield Case(
        "evaluate with one more defense", (*before, "--defense", "median"), before, (tables,)
    )


def case_of(name: str) -> Case:
    """A case by its name."""
    return next(case for case in all_cases() if case.name == name)


def in_processes() -> list[Case]:
    """The commands that take ``--jobs``, with two processes."""
    return [_in_processes(c) for c in all_cases() if "-j" in c.arguments and not c.overwrites]
