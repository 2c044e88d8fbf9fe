"""The commands ``rsparse policy list`` and ``rsparse policy show``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rsparse.cli import completion
from rsparse.cli.app import app
from rsparse.cli.command import command
from rsparse.cli.console import answer, answer_json, answer_line, answer_table
from rsparse.cli.generated import argument, option
from rsparse.cli.groups import QuickGroup
from rsparse.cli.options import Json
from rsparse.defenses.policy import Policy, load_policy, policy_names
from rsparse.errors import InputError
from rsparse.options.sections import INPUT_OUTPUT

group = typer.Typer(
    cls=QuickGroup,
    help="List and print policies. A policy chooses a defense for each image by its noise.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(group, name="policy")


COLUMNS = {
    "noise_below": "noise",
    "period_below": "period of two",
    "color_period_below": "period in colour",
}


@command("rsparse policy list", group=group, name="list")
def list_policies(as_json: Json = False) -> None:
    """List the built-in policies, which --policy accepts by name."""
    policies = [load_policy(name) for name in policy_names()]
    if as_json:
        answer_json([{"name": policy.name, "about": policy.about} for policy in policies])
    else:
        answer_table(["policy", "for"], ([policy.name, policy.about] for policy in policies))


@command(
    "rsparse policy show default",
    "rsparse policy show default --toml > mine.toml",
    "rsparse policy show mine.toml --json",
    group=group,
)
def show(
    name: Annotated[
        str,
        argument(
            "NAME|FILE",
            "A built-in policy or a policy file (.toml); or a dictionary (.h5) of an earlier "
            "rsparse, to print its levels as a policy.",
            complete=completion.POLICIES,
        ),
    ],
    as_toml: Annotated[
        bool,
        option(
            None,
            "Print the policy as a TOML file that you can edit.",
            "--toml",
            section=INPUT_OUTPUT,
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Print the rules of a policy: which images are cleaned, and with which defense.

    The first rule that fits an image applies: its noise and its period of two must be below the
    bounds of the rule. Noise is the standard deviation in the flattest parts of the image, in grey
    levels. The period of two measures how much that noise differs between even and odd pixels, as
    it does in attacked images; it is about 1 if there is no difference. The period in colour looks
    for it in brightness and colour at once.
    """
    if as_toml and as_json:
        raise InputError("--toml and --json cannot be used together; give one of them")
    policy = _policy(name)
    if as_json:
        answer_json(policy.as_json())
    elif as_toml:
        answer(policy.as_toml().removesuffix("\n"))
    else:
        _print_policy(policy)


def _policy(name: str) -> Policy:
    if not name.lower().endswith((".h5", ".hdf5")):
        return load_policy(name)
    from rsparse.defenses.old_levels import policy_of_dictionary

    return policy_of_dictionary(Path(name))


def _print_policy(policy: Policy) -> None:
    rules = policy.defense.rules
    asked = [name for name in COLUMNS if any(name in rule.bounds() for rule in rules)]
    shown = asked or ["noise_below"]
    rows = []
    for rule in rules:
        bounds = rule.bounds()
        cells = [f"below {bounds[name]:g}" if name in bounds else "any" for name in shown]
        if not bounds and len(rules) > 1:
            cells = ["otherwise", *("" for _ in shown[1:])]
        rows.append([*cells, rule.defense.in_words])
    about = f": {policy.about}" if policy.about else ""
    answer_line(f"{policy.name}{about}")
    answer_table([*(COLUMNS[name] for name in shown), "defense"], rows)
