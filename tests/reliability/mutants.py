"""Damaged files of each kind, given to the commands that read them."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.conftest import REPOSITORY
from tests.reliability import containers, mutators, verdicts
from tests.reliability.cases import CLEAN, MODEL, NETWORK
from tests.reliability.experiments import Verdict
from tests.reliability.injector import STATES, Fault, killed
from tests.reliability.laboratory import Laboratory
from tests.reliability.mutators import Mutator
from tests.reliability.trees import Tree, difference, tree_of, untimed, visible

SECRET = b"NOBODY-MAY-READ-THIS-FROM-ELSEWHERE "
MEMORY = 3 * 2**30
"""Bytes that a command may take on top of those of the warm process."""


@dataclass(frozen=True)
class Kind:
    """A kind of file, how it is damaged, and who reads it.

    Attributes
    ----------
    name : str
    files : tuple of str
        The damaged file of ``work/``: one of these is drawn.
    commands : tuple of str
    mutators : sequence of Mutator
    tree : callable
        What lies in ``work/``, before the damage.
    whole : bool
        Whether a command that ends well must give what it gives without damage.
    others : bool
        Whether the other images must be done in any case.
    codes : set of int
    keeps_damaged : bool
        Whether the damaged file itself may stay as it is, since the command need not read it.
    noticed : bool
        Whether any change of the file has to be told.
    """

    name: str
    files: tuple[str, ...]
    commands: tuple[str, ...]
    mutators: Sequence[Mutator]
    tree: Callable[[Laboratory], Tree]
    whole: bool = False
    others: bool = False
    codes: frozenset[int] = frozenset({0, 1, 2})
    keeps_damaged: bool = False
    noticed: bool = False


def _some(*names: str, place: str = "") -> Callable[[Laboratory], Tree]:
    """Files and folders of ``inputs/``."""

    def tree(laboratory: Laboratory) -> Tree:
        inputs = tree_of(laboratory.inputs)
        return {
            f"{place}{path}": content
            for path, content in inputs.items()
            if any(path == name or path.startswith(f"{name}/") for name in names)
        }

    return tree


def _pictures(laboratory: Laboratory) -> Tree:
    folder = REPOSITORY / "fixtures" / "images"
    tree = {f"in/{path.stem}/{path.name}": path.read_bytes() for path in folder.iterdir()}
    clean = tree_of(laboratory.inputs / "clean")
    return tree | {"beside/one.png": clean["red/00.png"], "beside/two.png": clean["green/01.png"]}


def _plan(laboratory: Laboratory) -> Tree:
    plan = (laboratory.inputs / "plan.toml").read_text()
    for name in ("clean", "colours.onnx", "dict.h5"):
        plan = plan.replace(f'"{name}"', f'"../inputs/{name}"')
    return {
        "plan.toml": plan.encode(),
        "policy.toml": (laboratory.inputs / "policy.toml").read_bytes(),
    }


def _sidecar(laboratory: Laboratory) -> Tree:
    text = (
        b'{"size": [16, 16], "mean": [0.5, 0.5, 0.5], "std": [0.2, 0.2, 0.2], "range": 1,\n'
        b' "channels": "rgb", "layout": "NCHW", "class_offset": 0, "labels": ["a", "b", "c"]}\n'
    )
    plain = (laboratory.inputs / "plain.onnx").read_bytes()
    return {"m.onnx": plain, "m.onnx.json": text, "names.txt": b"red\ngreen\nblue\n"}


def _stopped(line: str, wanted: str) -> Callable[[Laboratory], Tree]:
    """What a command leaves that is killed in the middle, when a file ``wanted`` lies there."""

    def tree(laboratory: Laboratory) -> Tree:
        arguments = line.split()
        laboratory.clean()
        total = sum(c.kind in STATES for c in laboratory.run(arguments, Fault()).calls)
        for part in (0.6, 0.8, 0.5, 0.9, 0.4, 0.7, 0.3):
            laboratory.clean()
            laboratory.run(arguments, killed(int(part * total)))
            if any(name.endswith(wanted) for name in laboratory.work_tree()):
                return laboratory.work_tree()
        raise AssertionError(f"{line}: nothing called {wanted} while it runs")

    return tree


_HDF5 = (containers.mutate_hdf5, containers.mutate_hdf5, containers.mutate_hdf5, *mutators.BYTES)
_JSON = (mutators.mutate_json, mutators.mutate_json, mutators.mutate_json, *mutators.BYTES)
_LINES = (mutators.mutate_lines, mutators.mutate_lines, mutators.mutate_lines, *mutators.BYTES)
_TEXT = (mutators.mutate_text, mutators.mutate_text, mutators.mutate_text, *mutators.BYTES)
_ONNX = (containers.mutate_onnx, containers.mutate_onnx, containers.mutate_onnx, *mutators.BYTES)
_ATTACK = f"attack {CLEAN} -m {MODEL} -a cw-l2:d=0.1,steps=3 --batch-size 2 -o work/adv -j 1"
_PURIFY = f"purify {CLEAN} -d inputs/dict.h5 -o work/out -j 1"
_CLASSIFY = f"classify {CLEAN} -m {MODEL} -o work/p.h5 -j 1"
_TRAIN = (
    f"train {CLEAN} -m {MODEL} --distill --epochs 3 --learning-rate 0.02 --batch-size 4 "
    "--defense median -o work/new.onnx -j 1"
)
_EVALUATE = (
    f"evaluate {CLEAN} -m {MODEL} -a fgsm:eps=4 --defense jpeg:quality=40 --no-extra-checks "
    "--max-images 6 -j 1 -o work/eval"
)


def all_kinds() -> list[Kind]:
    """Every kind of file that a command reads."""
    return [
        Kind("picture", ("in/",), (
            f"classify work/in work/beside -m {MODEL} -j 1",
            "purify work/in work/beside --defense jpeg:quality=40 -o work/out -j 1",
            "localize work/in work/beside -o work/out -j 1",
            "purify work/in work/beside -d inputs/dict.h5 -o work/out -j 1",
        ), mutators.BYTES, _pictures, others=True, codes=frozenset({0, 1})),
        Kind("manifest", ("adv/manifest.json",), (
            "show work/adv", f"classify work/adv -m {MODEL} -j 1",
            "purify work/adv --defense median -o work/out -j 1",
            f"activations {CLEAN} work/adv -m {NETWORK} -o work/a.h5 -j 1",
        ), _JSON, _some("adv")),
        Kind("labels", ("labels.csv",), (
            f"classify {CLEAN} -m {MODEL} --labels work/labels.csv -j 1",
            f"attack {CLEAN} -m {MODEL} -a fgsm:eps=2 --labels work/labels.csv -o work/adv -j 1",
        ), _TEXT, _some("labels.csv")),
        Kind("plan", ("plan.toml",), ("evaluate work/plan.toml --dry-run -o work/eval",), _TEXT,
             _plan),
        Kind("policy", ("policy.toml",), (
            "policy show work/policy.toml",
            f"purify {CLEAN} -d inputs/dict.h5 --policy work/policy.toml -o work/out -j 1",
        ), _TEXT, _plan),
        Kind("model", ("network.onnx",), (
            "model show work/network.onnx", f"classify {CLEAN}/red -m work/network.onnx -j 1",
            f"attack {CLEAN}/red -m work/network.onnx -a fgsm:eps=2 -o work/adv -j 1",
            f"activations {CLEAN} inputs/adv -m work/network.onnx -o work/a.h5 -j 1",
            f"attention {CLEAN}/red -m work/network.onnx -o work/cams -j 1",
            "model tag work/network.onnx --preset unit -o work/t.onnx", "show work/network.onnx",
        ), _ONNX, _some("network.onnx")),
        Kind("retrained model", ("trained.onnx",), ("show work/trained.onnx",), _ONNX,
             _some("trained.onnx")),
        Kind("sidecar", ("m.onnx.json", "names.txt"), (
            "model show work/m.onnx", f"classify {CLEAN}/red -m work/m.onnx -j 1",
            "model show work/m.onnx --class-names work/names.txt",
        ), (*_JSON[3:], *_TEXT[:3]), _sidecar),
        Kind("dictionary", ("dict.h5",), (
            "show work/dict.h5", "policy show work/dict.h5",
            f"purify {CLEAN}/red -d work/dict.h5 --sparsity 1 -o work/out -j 1",
        ), _HDF5, _some("dict.h5")),
        Kind("evaluation", ("eval/evaluation.h5", "eval/evaluation.h5", "eval/timing.json"), (
            "report work/eval -o work/tables --format csv", "show work/eval",
            "report work/eval -o work/tables --format md",
            "report work/eval -o work/page --sheet-images 2",
        ), _HDF5, _some("eval")),
        Kind("evaluation's parts", ("eval/clean/manifest.json", "eval/attacks/", "eval/trials/"),
             (_EVALUATE,), mutators.BYTES, _some("eval"), whole=True, keeps_damaged=True),
        Kind("a picture of an artifact", (".png",), (
            f"classify work/adv -m {MODEL} -j 1",
            "purify work/adv --defense median -o work/out -j 1",
        ), mutators.BYTES, _some("adv"), noticed=True),
        Kind("what is verified", ("adv/", "eval/attacks/", "eval/trials/", "eval/evaluation.h5",
             "a.h5", "p.h5", "p.csv", "trained.onnx"), (
            "verify work/adv work/eval work/a.h5 work/p.h5 work/p.csv work/trained.onnx",
        ), mutators.BYTES, _some("adv", "eval", "a.h5", "p.h5", "p.csv", "p.csv.json",
                                 "trained.onnx"), noticed=True),
        Kind("predictions", ("p.h5", "p.csv", "p.csv.json"), ("show work/p.h5", "show work/p.csv"),
             (*_HDF5[3:], *_TEXT[:3]), _some("p.h5", "p.csv", "p.csv.json")),
        Kind("activations", ("a.h5",), ("show work/a.h5",), _HDF5, _some("a.h5")),
        Kind("journal of a folder", (".jsonl",), (_PURIFY,), _LINES, _stopped(_PURIFY, ".jsonl"),
             whole=True),
        Kind("journal of a file", (".jsonl",), (_CLASSIFY,), _LINES, _stopped(_CLASSIFY, ".jsonl"),
             whole=True),
        Kind("kept results", (".npz",), (_ATTACK,), (containers.mutate_zip, *mutators.BYTES),
             _stopped(_ATTACK, ".npz"), whole=True),
        Kind("checkpoint", (".safetensors",), (_TRAIN,),
             (containers.mutate_safetensors, *mutators.BYTES), _stopped(_TRAIN, ".safetensors"),
             whole=True),
    ]  # fmt: skip


class Breeder:
    """Mutants of one kind: the tree is made once, and what each command makes of it undamaged."""

    def __init__(self, laboratory: Laboratory, kind: Kind) -> None:
        self.laboratory, self.kind = laboratory, kind
        (laboratory.inputs / "secret.txt").write_bytes(SECRET * 40)
        self.tree = kind.tree(laboratory)
        wanted = [n for n in self.tree if not n.endswith("/") and any(f in n for f in kind.files)]
        assert wanted, f"{kind.name}: no file to damage"
        self.wanted = sorted(wanted)
        self.whole: dict[str, Tree] = {}
        for line in kind.commands:
            laboratory.clean(self.tree)
            ended = laboratory.run(line.split(), limit=60)
            allowed = kind.codes if kind.others or "--dry-run" in line else kind.codes | {2}
            assert ended.status in allowed, f"{line}: {ended.stderr.decode()}"
            self.whole[line] = laboratory.work_tree()

    def mutant(self, seed: str) -> Verdict:
        """Damage one file as ``seed`` says, and run one of the commands."""
        rng, kind = random.Random(f"{kind_seed(self.kind)} {seed}"), self.kind
        name, line = rng.choice(self.wanted), rng.choice(kind.commands)
        mutator = rng.choice(kind.mutators)
        try:
            content = mutator(self.tree[name], rng)
        except (ValueError, KeyError, IndexError, TypeError, OSError, RuntimeError):
            mutator = rng.choice(mutators.BYTES)  # the structure of this one does not bear it
            content = mutator(self.tree[name], rng)
        damaged = {**self.tree, name: content}
        self.laboratory.clean(damaged)
        limits = {"RLIMIT_AS": self.memory() + MEMORY, "RLIMIT_FSIZE": 2**28}
        ended = self.laboratory.run(line.split(), limits=limits)
        complaints = verdicts.manners(ended, set(kind.codes))
        tree = self.laboratory.work_tree()
        said = (
            ended.stdout
            + ended.stderr
            + b"".join(text for path, text in tree.items() if path not in damaged)
        )
        if SECRET[:30] in said:
            complaints.append("tells the content of another file")
        if kind.others and ended.status in kind.codes:
            complaints += self._others(line, ended.stdout, tree)
        if kind.whole and ended.status == 0:
            found, expected = untimed(visible(tree)), untimed(visible(self.whole[line]))
            if kind.keeps_damaged:
                found[name] = expected[name]
            if left := difference(found, expected):
                complaints.append(f"ends well, but {left}")
        changed = content != self.tree[name]
        if kind.noticed and changed and ended.status == 0:
            complaints.append("does not notice the change")
        what = f"{getattr(mutator, '__name__', '')} of {name}, seed {seed!r}"
        return Verdict(f"{kind.name}: {line}", what, f"exit {ended.status}", complaints, changed)

    def memory(self) -> int:
        """The address space of the warm process, in bytes."""
        with open(f"/proc/{self.laboratory.pid}/statm") as file:  # noqa: PTH123 - no folder there
            return int(file.read().split()[0]) * 4096

    @staticmethod
    def _others(line: str, stdout: bytes, tree: Tree) -> list[str]:
        made = stdout if "classify" in line else tree.get("out/manifest.json", b"")
        return [
            f"the image {name} is missing" for name in ("one", "two") if name.encode() not in made
        ]


def kind_seed(kind: Kind) -> str:
    """What distinguishes the mutants of one kind from those of another with the same seed."""
    return kind.name
