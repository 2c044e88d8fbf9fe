"""docs/results.md from finished evaluations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from rsparse.evaluation import statistics
from rsparse.evaluation.checks import counted, failures
from rsparse.evaluation.estimates import mean_share, paired_difference, per_image, percent, points
from rsparse.evaluation.plan import parse_defenses
from rsparse.evaluation.results import Column, Defended, Evaluation
from rsparse.report import tables
from rsparse.report.markdown import table_lines
from rsparse.report.subjects import Subjects, find_subjects
from studies import paper_text, trained_text
from studies.lines import FAMILIES, head, row, short, verdict
from studies.plans import ABLATIONS, BASELINES, COMDEFEND, OURS, text_of
from studies.trainings import BASES, Figures

HEAD = """# Results

Written by `make results` and, the parts on retrained classifiers, `make retrained`
(`studies/results.py`, its plans in `studies/plans.py` and `studies/trainings.py`), with
the parameters that stand there; nothing here was typed by hand but the words, and what they tell
of several processors' runs. A part that was not run again stays as it was: each says of which
photographs, machine and levels of `regionsparse` its figures are. Another kind of processor rounds
otherwise, so that the dictionary's atoms and the attacked images differ a little: in the part on
chains, `regionsparse` kept 35.8 % in the mean of the attacked columns on an AMD EPYC with AVX-512,
34.6 % on one without, and 34.6 % on an Intel Xeon with AVX-512.

**Photographs**: 200 of the NIPS 2017 competition's development set; of them those that the
undefended model gets right, as the paper does. So "none" has 100 % clean by choice. RegionSparse's
levels were fitted to others ([levels.md](levels.md), which also says what was known of these), and
its dictionary's atoms to 1,000 others (1,024 of 8×8 pixels, 600 patches from each).
**Models**: MobileNet-v2 at 224×224 with its published weights; Inception-v3 at 299×299 whose last
two convolutions and classifier were refitted on 1,000 photographs: 62 % top-1, so that its figures
say less. **Attacks**: by foolbox; BIM and MI-FGSM in 10 steps, CW-L2 in 30 steps, scaled to the
average d; all rounded to 8 bits. eps is in grey levels, d relative to the image's L₂ norm.

**Threat model**: gray-box, transfer, black-box and extended gray-box, as each part says
([evaluate.md](evaluate.md#scenarios)). The attacker does not know the defense. Nothing here is
robustness against one who does: a purifier of this kind gives way to attacks through it.

`regionsparse` is one setting for all columns, `--sparsity auto`. Baselines stand with every setting
that was run, and are compared at their best single one, which is chosen after the fact and so
favours them. Intervals, McNemar's p and each image's prediction are in the evaluations' CSV files,
and `rsparse report bench-work/results/mobilenet-v2 -o report/` draws them.
"""
_TRAINED = "Retrained classifiers and adversarial training (the paper's Fig. 6, 7, Table II)"
TITLES = {
    "mobilenet-v2": "Gray-box on MobileNet-v2",
    "chains": "Gray-box on MobileNet-v2, beside chains of two baselines",
    "comdefend": "Gray-box on MobileNet-v2, beside ComDefend",
    "inception-v3": "Gray-box on Inception-v3, beside the paper",
    "transfer": "Transferred attacks on MobileNet-v2",
    "trained": _TRAINED,
    "trained-inception-v3": "Inception-v3 retrained (the paper's Fig. 6, 7)",
}
ABOUT = {
    "chains": """
At the strengths of the paper's Table II. RegionSparse is itself a chain, of the bilateral filter
and sparse coding. Beside chains of two baselines, of which `bilateral+jpeg` did best on the
training photographs of [levels.md](levels.md), its lead is smaller than beside single ones; the
targets were set for those. `regionsparse-dictionary=former` is the default before some levels coded
patches side by side.""",
    "comdefend": """
At the strengths of the paper's Table II, on half of the photographs, since its networks take longer
than all other defenses together; beside the best single baseline of the whole sweep. The weights
are our own (`scripts/comdefend_model.py`).""",
}
MISSED = """
How far ahead it is, and which column is further behind, hangs on how a processor rounds: the
dictionary's atoms and the attacked images differ. On an AMD EPYC with AVX-512 the mean was 9.9
points above and MI-FGSM at d = 0.15 behind, by five photographs; on one without it 9.6 points and
CW-L2 at d = 0.01, by six; on an Intel Xeon with AVX-512 8.6 points and no column; where a GPU, an
NVIDIA H100, attacked, classified and coded by the first one's dictionary, 10.6 points (6.8 to 14.4)
and no column. Neither column is beyond chance. On the photographs that the levels were chosen by,
the best candidate of each column, known afterwards, keeps two points more in the mean than the
levels do ([levels.md](levels.md)): knowing the attack could add no more with one of them for each.
Under strong attacks none of the [other ideas](levels.md#other-ideas) is better than K = 1 beyond
chance."""
_MARK = "<!-- part: {} -->"


def render(
    found: Mapping[str, Evaluation],
    machine: str,
    figures: Mapping[str, Mapping[str, Figures]],
    before: str = "",
) -> str:
    """The whole page.

    Parameters
    ----------
    found : mapping of str to Evaluation
        By plan; what is missing stays as ``before`` has it, or is left out with it.
    machine : str
    figures : mapping of str to mapping of str to Figures
        What the trainings took, by base and name.
    before : str
        The page as it was.
    """
    page = HEAD
    for name, title in TITLES.items():
        if name in found:
            basis = _basis(found[name], machine)
            lines = [f"## {title}", *basis, *_part(name, found[name], figures)]
            part = "\n".join(lines) + "\n"
        else:
            part = _old_part(before, name)
        if part:
            page += f"\n{_MARK.format(name)}\n{part}"
    return page


def _old_part(page: str, name: str) -> str:
    """A part of a page as it stands there; nothing where there is none."""
    _, mark, rest = page.partition(_MARK.format(name) + "\n")
    return rest.partition("\n<!-- part: ")[0].rstrip("\n") + "\n" if mark else ""


def _basis(evaluation: Evaluation, machine: str) -> Iterator[str]:
    """What the figures of a part are of."""
    n = len(evaluation.names)
    levels = [
        source["record"]["parameters"].get("levels")
        for source in evaluation.record["inputs"]
        if source["name"] == "dict.h5"
    ]
    yield (
        f"\n{n} photographs, those that {evaluation.model} gets right: a share's 95 % interval is "
        f"about ±{100 * 1.96 * (0.25 / n) ** 0.5:.0f} points. Levels: `{levels[0]}`. "
        f"Machine: {machine}"
    )


def _part(
    name: str, evaluation: Evaluation, figures: Mapping[str, Mapping[str, Figures]]
) -> Iterator[str]:
    if name in ABOUT:
        yield ABOUT[name]
        yield from _targets(evaluation) if name == "chains" else ()
        yield from _whole(evaluation)
        return
    if name == "mobilenet-v2":
        yield from _targets(evaluation)
        yield MISSED
        yield from _whole(evaluation)
        yield "\n### Ablations (the paper's Fig. 4)"
        yield from _ablations(evaluation)
    elif name == "inception-v3":
        yield from paper_text.render(evaluation)
        yield from _whole(evaluation)
    elif name == "transfer":
        yield from _transfer(evaluation)
    else:
        base = BASES[name]
        yield from trained_text.render(evaluation, base, figures.get(base, {}))
        yield from _checks(find_subjects(evaluation, OURS))
    yield from _not_judged(evaluation) if name not in BASES else ()


def _not_judged(evaluation: Evaluation) -> Iterator[str]:
    """The kinds of baselines that are judged elsewhere on this page, and not here."""
    judged = {defense.kind for defense in evaluation.defenses}
    kinds = (d.kind for d in parse_defenses([*BASELINES, COMDEFEND]))
    missing = dict.fromkeys(kind for kind in kinds if kind not in judged)
    if missing:
        yield f"\nNot run here: {', '.join(missing)}."


def _whole(evaluation: Evaluation) -> Iterator[str]:
    """Each defense: clean, mean, worst case, time; then every column."""
    subjects = find_subjects(evaluation, OURS)
    yield "\n### All defenses\n"
    yield (
        'Means are over the attacked columns; "worst case" is the share of photographs that are '
        "right clean and under every attack; the time is one core's, or a GPU's for what it does.\n"
    )
    ours = {text_of(spec) for spec in ABLATIONS.values()}
    table = tables.overview(subjects, subjects.main_scenario)
    rows = tuple(line for line in table.rows if line[0].text not in ours)
    yield from table_lines(tables.Table(table.header, rows, table.numeric))
    for families in (("fgsm", "bim"), ("mi-fgsm", "cw-l2")):
        chosen = [f for f in subjects.families if f.columns[0].family in families]
        columns = [column for family in chosen for column in family.columns]
        defenses = [d for d in evaluation.defenses if d.text not in ours]
        yield f"\n{' and '.join(FAMILIES[f] for f in families)}, top-1 in %:\n"
        yield from _accuracies(evaluation, defenses, columns)
    yield from _checks(subjects)


def _accuracies(
    evaluation: Evaluation, defenses: Sequence[Defended], columns: Sequence[Column]
) -> Iterator[str]:
    yield from head(["defense", *map(short, columns)])
    for defense in defenses:
        shares = (statistics.accuracy(evaluation, column, defense) for column in columns)
        yield row([defense.text, *(percent(share.value, 0) for share in shares)])


def _checks(subjects: Subjects) -> Iterator[str]:
    checks = subjects.evaluation.checks
    told = ", ".join(f"{number} {outcome}" for outcome, number in counted(checks).items())
    yield f"\nChecklist (`checks.csv`): {told}.\n"
    for check in failures(checks):
        place = ", ".join(filter(None, (check.scenario, check.defense)))
        yield f"- failed: {check.name} ({place}): {check.detail}"


def _targets(evaluation: Evaluation) -> Iterator[str]:
    """RegionSparse beside the best baseline, of all columns and of each."""
    subjects = find_subjects(evaluation, OURS)
    ours, scenario = subjects.judged, subjects.main_scenario
    best = subjects.best_baseline(scenario)
    assert ours is not None
    assert best is not None
    columns = subjects.columns(scenario)
    mine, theirs = (mean_share(evaluation, d, columns).value for d in (ours, best))
    gap = paired_difference(*(per_image(evaluation, d, columns) for d in (ours, best)))
    clean = statistics.clean_column(evaluation)
    kept, lost = (statistics.accuracy(evaluation, clean, d).value for d in (ours, best))
    yield "\n### RegionSparse beside the best baseline\n"
    yield from head(["wanted", "found", ""])
    yield row([
        f"mean top-1 over the {len(columns)} attacked columns at least 10 points above the best "
        f"baseline's at its best single setting ({best.text})",
        f"{percent(mine)} % against {percent(theirs)} %: {points(gap.value)} points "
        f"({points(gap.low)} to {points(gap.high)})", verdict(gap.value >= 0.1),
    ])  # fmt: skip
    gaps = [_behind(evaluation, column, ours) for column in columns]
    behind = [value for value in gaps if value < -0.02]
    yield row([
        "in no column more than 2 points below that column's best baseline",
        f"{len(behind)} of {len(columns)} are further below; the least difference is "
        f"{points(min(gaps))} points", verdict(not behind),
    ])  # fmt: skip
    yield row([
        "clean top-1 at least 84 %", f"{percent(kept)} % ({best.text}: {percent(lost)} %)",
        verdict(kept >= 0.84),
    ])  # fmt: skip
    yield "\nColumn by column, top-1 in %; p by McNemar's paired test, not corrected:\n"
    yield from head(["attack", "none", OURS, "the column's best baseline", "difference", "p"])
    undefended = subjects.undefended
    assert undefended is not None
    for column in (clean, *columns):
        other = statistics.best_baseline(evaluation, column)
        assert other is not None
        right = [evaluation.correct(column, d) for d in (undefended, ours, other)]
        yield row([
            column.attack, *(percent(flags.mean(), 0) for flags in right[:2]),
            f"{percent(right[2].mean(), 0)} ({other.text})",
            points(_behind(evaluation, column, ours)),
            f"{statistics.mcnemar(right[1], right[2]):.2g}",
        ])  # fmt: skip


def _behind(evaluation: Evaluation, column: Column, ours: Defended) -> float:
    """How far ours is above the best baseline of a column."""
    best = statistics.best_baseline(evaluation, column)
    assert best is not None
    shares = [statistics.accuracy(evaluation, column, d).value for d in (ours, best)]
    return shares[0] - shares[1]


def _transfer(evaluation: Evaluation) -> Iterator[str]:
    yield (
        "\nPhotographs that MobileNet-v2 gets right, attacked on another model at that model's "
        "input size, top-1 of MobileNet-v2 in % (the paper's Fig. 8 has L∞ 22 and d 0.1):\n"
    )
    columns = statistics.attacked_columns(evaluation)
    yield from head(
        ["defense", "clean", *(f"{column.source}: {short(column)}" for column in columns), "mean"]
    )
    for defense in evaluation.defenses:
        shares = [
            statistics.accuracy(evaluation, column, defense).value
            for column in (statistics.clean_column(evaluation), *columns)
        ]
        mean = statistics.mean_attacked(evaluation, defense)
        yield row([defense.text, *(percent(s, 0) for s in shares), percent(mean)])
    yield from _checks(find_subjects(evaluation, OURS))


def _ablations(evaluation: Evaluation) -> Iterator[str]:
    """The paper's names for what is left out, each with K = 2 on the object region."""
    by_text = {defense.text: defense for defense in evaluation.defenses}
    columns = statistics.attacked_columns(evaluation)
    yield f"\nOn {evaluation.model}, top-1 in %, one K = 2 for all:\n"
    yield from head(["", "clean", "mean of attacked", *FAMILIES.values()])
    for name, spec in ABLATIONS.items():
        defense = by_text[text_of(spec)]
        clean = statistics.accuracy(evaluation, statistics.clean_column(evaluation), defense).value
        means = [statistics.mean_attacked(evaluation, defense)]
        for family in FAMILIES:
            own = [column for column in columns if column.family == family]
            means.append(statistics.mean_attacked(evaluation, defense, own))
        yield row([name, percent(clean, 0), *map(percent, means)])
