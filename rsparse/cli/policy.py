"""The commands ``rsparse policy list`` and ``rsparse policy show``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rsparse.cli.app import app
from rsparse.cli.command import command
from rsparse.cli.console import answer, answer_json, answer_line, answer_table
from rsparse.cli.groups import QuickGroup
from rsparse.cli.options import Json
from rsparse.defenses.policy import Policy, load_policy, policy_names
from rsparse.errors import InputError

group = typer.Typer(
    cls=QuickGroup,
    help="List and print policies. A policy chooses a defense for each image by its noise.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(group, name="policy")


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
        typer.Argument(
            metavar="NAME|FILE",
            show_default=False,
            help="A built-in policy or a policy file (.toml); or a dictionary (.h5) of an earlier "
            "rsparse, to print its levels as a policy.",
        ),
    ],
    as_toml: Annotated[
        bool, typer.Option("--toml", help="Print the policy as a TOML file that you can edit.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Print the rules of a policy: which images are cleaned, and with which defense.

    The first rule that fits an image applies: its noise and its period of two must be below the
    bounds of the rule. Noise is the standard deviation in the flattest parts of the image, in grey
    levels. The period of two measures how much that noise differs between even and odd pixels, as
    it does in attacked images; it is about 1 if there is no difference.
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
    has_period = any("period_below" in rule.bounds() for rule in rules)
    columns = ["noise", *(["period of two"] if has_period else []), "defense"]
    rows = []
    for rule in rules:
        bounds = rule.bounds()
        noise, period = (
            f"below {bounds[key]:g}" if key in bounds else "any"
            for key in ("noise_below", "period_below")
        )
        if not bounds and len(rules) > 1:
            noise, period = "otherwise", ""
        rows.append([noise, *([period] if has_period else []), rule.defense.in_words])
    about = f": {policy.about}" if policy.about else ""
    answer_line(f"{policy.name}{about}")
    answer_table(columns, rows)
