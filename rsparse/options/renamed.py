"""Old spellings of options, values, plan keys and spec parameters, each with the new one.

None of them works any more. Whoever writes one is told in one line what to write instead.
"""

from __future__ import annotations

OLD_OPTIONS: dict[str, str] = {
    "--size": "--input-size",
    "--range": "--input-range",
    "--weakest": "--min-correlation",
    "learn-dict --levels": "purify --policy: see 'rsparse policy list'",
    "purify --sparsity auto": "--policy default",
    "regionsparse:weakest": "min_correlation",
    "regionsparse:sparsity=auto": "a defense of its own: policy:default",
    "evaluate --source-model": "--scenario transfer:model=FILE",
    "evaluate --source-preset": "--scenario transfer:model=FILE,preset=NAME",
    "evaluate --retrained": "--scenario black-box:model=FILE or extended-gray-box:model=FILE",
    "evaluate --adversarial-training": "--scenario adversarial-training:model=FILE",
    "plan source-model": "scenario = 'transfer:model=FILE'",
    "plan retrained": "scenario = 'black-box:model=FILE' or 'extended-gray-box:model=FILE'",
    "plan adversarial-training": "scenario = 'adversarial-training:model=FILE'",
}
"""What to write instead, by old spelling; the message is ``OLD is now NEW``.

A key is, of several that fit the first in this order:

- ``"evaluate --checks"``: an option of one command, or ``"--checks"`` of all;
- ``"purify --sparsity auto"``, ``"--sparsity auto"``: a value of an option that still exists;
- ``"plan checks"``: a key of plan.toml; without it ``"evaluate --checks"`` and ``"--checks"``
  answer for the key, too;
- ``"regionsparse:rounds"``: a parameter in a spec, ``"regionsparse:sparsity=auto"`` its value.
"""


def new_spelling(*old: str) -> str | None:
    """What is written instead of the first of these spellings that is an old one, if any is."""
    return next((OLD_OPTIONS[text] for text in old if text in OLD_OPTIONS), None)
