"""Old spellings of options, values, plan keys and spec parameters, each with the new one.

No old spelling works. The error for an old spelling names the new one.
"""

from __future__ import annotations

OLD_OPTIONS: dict[str, str] = {
    "--size": "--input-size",
    "purify --size": "--resize-to",
    "--range": "--input-range",
    "--weakest": "--min-correlation",
    "learn-dict --levels": "purify --policy: see 'rsparse policy list'",
    "purify --sparsity auto": "--policy default",
    "regionsparse:weakest": "min_correlation",
    "regionsparse:sparsity=auto": "a defense, policy:default",
    "evaluate --source-model": "--scenario transfer:model=FILE",
    "evaluate --source-preset": "--scenario transfer:model=FILE,preset=NAME",
    "evaluate --retrained": "--scenario black-box:model=FILE or extended-gray-box:model=FILE",
    "evaluate --adversarial-training": "--scenario adversarial-training:model=FILE",
    "plan source-preset": "scenario = 'transfer:model=FILE,preset=NAME'",
    "plan source-model": "scenario = 'transfer:model=FILE'",
    "plan retrained": "scenario = 'black-box:model=FILE' or 'extended-gray-box:model=FILE'",
    "plan adversarial-training": "scenario = 'adversarial-training:model=FILE'",
    "learn-dict --training": "--learned",
    "learn-dict --no-training": "--cosines",
    "learn-dict --penalty": "--l1-penalty",
    "learn-dict --held-out": "--held-out-share",
    "learn-dict --smoothing-template": "--smoothing-patch",
    "learn-dict --smoothing-search": "--smoothing-window",
    "--difference": "--gradient-difference",
    "--blur": "--blur-size",
    "--closing": "--closing-size",
    "--rounds": "--opening-rounds",
    "--contours": "--keep-contours",
    "--fallback": "--fallback-region",
    "--background": "--filter-background",
    "--no-background": "--keep-background",
    "regionsparse:difference": "gradient_difference",
    "regionsparse:blur": "blur_size",
    "regionsparse:closing": "closing_size",
    "regionsparse:rounds": "opening_rounds",
    "regionsparse:contours": "keep_contours",
    "regionsparse:fallback": "fallback_region",
    "regionsparse:background": "filter_background",
    "attack --float": "--keep-float",
    "attention --class": "--target-class",
    "attention --center": "--center-weights",
    "attention --no-center": "--raw-weights",
    "attention --cell": "--picture-size",
    "attention --opacity": "--map-opacity",
    "evaluate --limit": "--max-images",
    "evaluate --checks": "--extra-checks",
    "evaluate --no-checks": "--no-extra-checks",
    "report --defense": "--verdict-defense",
    "report --pictures": "--sheet-images",
    "report --panels": "--attention-images",
    "report --measured": "--activation-images",
    "train --on": "--train-on",
    "train --purified": "--purified-images",
    "train --cache": "--purified-cache",
    "train --layers": "--train-layers",
    "train --eps": "--attack-eps",
    "train --validation": "--validation-share",
    "train --warmup": "--warmup-share",
    "train --crop": "--min-crop",
    "train --temperature": "--distill-temperature",
}
"""New spellings by old spelling; the message is ``OLD is now NEW``.

Keys have these forms; if several fit, the first applies:

- ``"evaluate --checks"``: an option of one command; ``"--checks"``: of all commands;
- ``"purify --sparsity auto"``, ``"--sparsity auto"``: a value of an option that still exists;
- ``"plan checks"``: a key of plan.toml; without it, ``"evaluate --checks"`` and ``"--checks"``
  apply to the key, too;
- ``"regionsparse:rounds"``: a parameter of a spec; ``"regionsparse:sparsity=auto"``: a value of it.
"""


def new_spelling(*old: str) -> str | None:
    """The new spelling for the first of these that is an old one, or None."""
    return next((OLD_OPTIONS[text] for text in old if text in OLD_OPTIONS), None)
