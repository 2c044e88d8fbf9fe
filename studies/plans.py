"""The evaluations of docs/results.md on real classifiers, as plans of ``evaluate``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from rsparse.commands.learn_dict import learn_dict
from rsparse.defenses import defense_text, parse_defense, parse_defenses
from rsparse.defenses.policy import load_policy
from rsparse.defenses.regionsparse import RegionSparse
from rsparse.evaluation.model_choice import ModelChoice
from rsparse.evaluation.plan import Plan, parse_attacks
from rsparse.evaluation.scenarios import GrayBox, Scenario, Transfer
from rsparse.models.spec import InputOptions
from rsparse.options.evaluate import EvaluateParameters
from rsparse.options.labels import LabelOptions
from rsparse.options.learn_dict import LearnParameters
from rsparse.work.workers import LocalWorkers
from studies.tables import read_rows

MODELS = {  # file, and preset of its input
    "mobilenet-v2": ("mobilenet_v2_224.onnx", "mobilenet-v2"),
    "mobilenet-v1": ("mobilenet_v1_075_192.onnx", "unit"),
    "inception-v3": ("inception_v3_299.onnx", "inception-v3"),
}


def form_with(dictionary: str) -> str:
    """The paper's form, the defense of ``policy:paper``, with the dictionary of that name."""
    defense = load_policy("paper").defense.rules[-1].defense
    assert isinstance(defense, RegionSparse)
    return replace(defense, dictionary=dictionary).spec


ATOMS = {"n_atoms": 1024, "patches_per_image": 600}
DICTIONARIES: Mapping[str, LearnParameters] = {
    "": LearnParameters(**ATOMS),
    "wide": LearnParameters(**ATOMS, patch_size=12),
    "noTR": LearnParameters(**ATOMS, learned=False),
    "noIS": LearnParameters(**ATOMS, smoothing=False),
    "noPN": LearnParameters(**ATOMS, normalize=False),
    "paper": LearnParameters.preset("paper"),
}
LEARNED_FROM = {"paper": 64}  # photographs, of which its smoothing takes long; else all
OURS = "policy:default"
FORM = form_with("paper")  # the paper's form to the letter
SPARING = "policy:sparing"  # the default of the first tables
WITHOUT_JPEG = "policy:without-jpeg"  # the default after it
FORMER = f"policy:{Path(__file__).with_name('former.toml')}"  # in which all patches overlapped
COARSE = "policy:coarse"  # K = 1 for all noise of 1.6 or more
WIDE = "policy:wide"  # patches of 12×12
PLAIN = "regionsparse:sparsity=1,localize=no"  # neither region nor filter
ABLATIONS = {  # by the paper's names; all with the paper's region and one K
    "RegionSparse": "regionsparse:sparsity=2",
    "noTR": "regionsparse:sparsity=2,dictionary=noTR",
    "noIS": "regionsparse:sparsity=2,dictionary=noIS",
    "noPN": "regionsparse:sparsity=2,dictionary=noPN",
    "noBS": "regionsparse:sparsity=2,filter-background=no",
    "noOL": "regionsparse:sparsity=2,localize=no",
}
BASELINES = (
    "jpeg:quality=10,15,20,30,40,75", "slq", "median:size=3,5,7,9", "bit-depth:bits=3,5",
    "feature-squeezing", "tvm:weight=0.03,0.1,0.3,0.5,1", "tv:weight=0.03,0.1,0.3",
    "nlm:h=4,10,15,20,30,40,60", "bilateral:sigma-color=30,80,150", "gaussian:sigma=1,1.5,2",
)  # fmt: skip
FEWER_BASELINES = (  # at 299×299, where judging takes ten times as long
    "jpeg:quality=10,20,75", "slq", "median:size=3,5", "bit-depth:bits=3", "feature-squeezing",
    "tvm", "tv", "nlm:h=20", "bilateral", "gaussian",
)  # fmt: skip
COMDEFEND = "comdefend"  # takes fifty times as long as any other baseline
CHAINS = (  # smoothing, then the compression that was best after it on training photographs
    *(f"{first}+jpeg:quality=20" for first in ("bilateral", "median:size=5", "nlm:h=20")),
    "bilateral+jpeg:quality=30",
)
CW = "cw-l2:d={},steps=30"
LEAST_CHANGE = "deepfool:scale=1,2,4"


def _attacks(eps: str, d: str) -> tuple[str, ...]:
    return f"fgsm:eps={eps}", f"bim:eps={eps}", f"mi-fgsm:d={d}", CW.format(d)


ALL_STRENGTHS = _attacks("2,6,10,14,18,22", "0.01,0.05,0.1,0.15,0.2")
TABLE_TWO_STRENGTHS = _attacks("2,14,22", "0.01,0.14,0.2")
STRONG_OF_TABLE_TWO = _attacks("14,22", "0.14,0.2")
TABLE_TWO_AND_BETWEEN = _attacks("2,10,14,18,22", "0.01,0.05,0.1,0.14,0.2")


def dictionary(
    shared: Path,
    work: Path,
    name: str = "",
    jobs: int = 2,
    declared: Mapping[str, LearnParameters] = DICTIONARIES,
    limit: int | None = None,
) -> Path:
    """The dictionary of that name; if it is missing, learn it from ``train/`` as declared.

    With ``limit``, from that many photographs, evenly spaced.
    """
    path, limit = work / f"dict{name and '-'}{name}.h5", limit or LEARNED_FROM.get(name)
    if not path.exists():
        train = shared / "train"
        images = [train / row["file"] for row in read_rows(train / "labels.csv")] if limit else []
        some = [images[n] for n in spaced(len(images), limit)] if limit else [train]
        learn_dict(some, path, declared[name], workers=LocalWorkers(jobs))
    return path


def spaced(n: int, limit: int) -> list[int]:
    """At most ``limit`` numbers below n, evenly spaced."""
    step = max(1.0, n / limit)
    return [int(place * step) for place in range(min(n, limit))]


def dictionaries(
    defenses: Iterable[str],
    shared: Path,
    work: Path,
    jobs: int = 2,
    declared: Mapping[str, LearnParameters] = DICTIONARIES,
) -> dict[str, Path]:
    """The dictionaries of these defenses, by name."""
    names = {name for text in defenses for name in parse_defense(text)[0].dictionaries}
    return {name: dictionary(shared, work, name, jobs, declared) for name in sorted(names)}


def text_of(spec: str) -> str:
    """The short name of a single defense in an evaluation."""
    return defense_text(parse_defense(spec)[0])


def model(shared: Path, name: str) -> ModelChoice:
    """A classifier of ``models/``: one of ``MODELS``, or one that ``rsparse fetch`` wrote."""
    if name not in MODELS:
        return ModelChoice(shared / "models" / f"{name}.onnx")
    file, preset = MODELS[name]
    return ModelChoice(shared / "models" / file, InputOptions(preset=preset))


def mobilenet_v2(shared: Path, work: Path) -> Plan:
    """The whole matrix, gray-box."""
    beside = (SPARING, *ABLATIONS.values(), *BASELINES)
    return judged("mobilenet-v2", shared, work, (*ALL_STRENGTHS, LEAST_CHANGE), beside)


def chains(shared: Path, work: Path) -> Plan:
    """Chains of two baselines, and the former policy, at the strengths of Table II."""
    beside = (FORMER, *CHAINS)
    attacks = (*TABLE_TWO_STRENGTHS, LEAST_CHANGE)
    return judged("chains", shared, work, attacks, beside, base="mobilenet-v2")


def comdefend(shared: Path, work: Path) -> Plan:
    """ComDefend on half of the photographs, since it is slow."""
    beside = (COMDEFEND, "nlm:h=60")
    return judged(
        "comdefend", shared, work, TABLE_TWO_STRENGTHS, beside, base="mobilenet-v2", limit=100
    )


def inception_v3(shared: Path, work: Path) -> Plan:
    """The strengths of the paper's Table II, gray-box."""
    return judged("inception-v3", shared, work, TABLE_TWO_STRENGTHS, (PLAIN, *FEWER_BASELINES))


def transfer(shared: Path, work: Path) -> Plan:
    """Attacks made on other classifiers, at the strengths of the paper's Fig. 8 and weak ones."""
    attacks = ("fgsm:eps=2,22", "bim:eps=2,22", "mi-fgsm:d=0.1", CW.format("0.1"))
    baselines = ("jpeg:quality=20,75", "median:size=3", "tvm")
    sources = [MODELS[name] for name in ("mobilenet-v1", "inception-v3")]
    return judged(
        "transfer", shared, work, attacks, baselines, base="mobilenet-v2",
        scenarios=[Transfer(str(shared / "models" / file), preset) for file, preset in sources],
        limit=100,
    )  # fmt: skip


def judged(
    output: str,
    shared: Path,
    work: Path,
    attacks: tuple[str, ...],
    beside: tuple[str, ...],
    *,
    base: str = "",
    scenarios: Sequence[Scenario] = (GrayBox(),),
    limit: int | None = None,
    checks: bool = True,
) -> Plan:
    """The plan of that name: ours, the paper's form and others on photographs of ``photos/``.

    ``base`` is the classifier; it defaults to the name of the plan.
    """
    photos = shared / "photos"
    return Plan(
        images=(photos,),
        labels=LabelOptions(photos / "labels.csv"),
        model=model(shared, base or output),
        attacks=parse_attacks(attacks),
        defenses=parse_defenses([OURS, FORM, *beside]),
        output=work / output,
        scenarios=tuple(scenarios),
        dictionaries=dictionaries([OURS, FORM, *beside], shared, work),
        parameters=EvaluateParameters(max_images=limit, extra_checks=checks),
    )


PLANS: Mapping[str, Callable[[Path, Path], Plan]] = {
    "mobilenet-v2": mobilenet_v2,
    "chains": chains,
    "comdefend": comdefend,
    "inception-v3": inception_v3,
    "transfer": transfer,
}
