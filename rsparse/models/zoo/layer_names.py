"""Name the nodes of an exported network after its modules; Inception's as in the paper."""

from __future__ import annotations

import re

_V3_BLOCKS = {
    "Conv2d_1a_3x3": "conv",
    "Conv2d_2a_3x3": "conv_1",
    "Conv2d_2b_3x3": "conv_2",
    "Pool1": "pool",
    "Conv2d_3b_1x1": "conv_3",
    "Conv2d_4a_3x3": "conv_4",
    "Pool2": "pool_1",
    "Mixed_5b": "mixed",
    "Mixed_5c": "mixed_1",
    "Mixed_5d": "mixed_2",
    "Mixed_6a": "mixed_3",
    "Mixed_6b": "mixed_4",
    "Mixed_6c": "mixed_5",
    "Mixed_6d": "mixed_6",
    "Mixed_6e": "mixed_7",
    "Mixed_7a": "mixed_8",
    "Mixed_7b": "mixed_9",
    "Mixed_7c": "mixed_10",
    "global_pool": "pool_3",
    "fc": "logits",
}
_V3_TOWERS = {
    "5": {"5x5": "tower", "3x3dbl": "tower_1"},
    "6a": {"3x3dbl": "tower"},
    "6": {"7x7": "tower", "7x7dbl": "tower_1"},
    "7a": {"3x3": "tower", "7x7x3": "tower_1"},
    "7": {"3x3": "tower", "3x3dbl": "tower_1"},
}
_V4_BLOCKS = {
    "features.0": "conv",
    "features.1": "conv_1",
    "features.2": "conv_2",
    "features.3": "mixed",
    **{f"features.{number}": f"mixed_{number - 3}" for number in range(4, 22)},
    "global_pool": "pool",
    "last_linear": "logits",
}
_BRANCH = re.compile(r"branch_?(?P<kind>\w+?)(_(?P<step>\d)(?P<side>[ab]?))?")
_WRAPPERS = re.compile(r"/(conv(?=/Conv$)|bn/act(?=/\w+$)|pool(?=/GlobalAveragePool$))")


def layer_name(architecture: str, scope: str) -> str:
    """Return the name of a node of a network.

    Parameters
    ----------
    architecture : str
        timm's name without the tag, such as ``inception_v3``.
    scope : str
        Where torch's exporter found the operator:
        ``/Mixed_5b/branch5x5_2/conv/Conv``, ``/blocks/blocks.0/blocks.0.1/Add``.

    Returns
    -------
    str
        The modules and the operator, ``blocks.0.1/Add``. Inception-v3 and v4 use the paper's
        names for the modules: ``mixed/tower/conv_1/Conv``.
    """
    name = _WRAPPERS.sub("", _without_repeats(scope.strip("/")))
    block, slash, rest = name.partition("/")
    if architecture == "inception_v3" and block in _V3_BLOCKS:
        if rest.startswith("branch"):
            branch, _, operator = rest.partition("/")
            rest = f"{_v3_branch(block, branch)}/{operator}"
        return _V3_BLOCKS[block] + slash + rest
    if architecture == "inception_v4" and block in _V4_BLOCKS:
        return _V4_BLOCKS[block] + slash + rest
    return name


def _without_repeats(scope: str) -> str:
    """Shorten ``blocks/blocks.0/blocks.0.1/Add`` to ``blocks.0.1/Add``: the last part says all."""
    parts = scope.split("/")
    followers = [*parts[1:], ""]
    return "/".join(
        part
        for part, next_one in zip(parts, followers, strict=True)
        if not next_one.startswith(f"{part}.")
    )


def _v3_branch(block: str, branch: str) -> str:
    """Rename ``branch3x3dbl_2`` of ``Mixed_5b`` to ``tower_1/conv_1``."""
    found = _BRANCH.fullmatch(branch)
    if found is None:
        return branch
    if found["kind"] == "pool":
        return "tower_2/conv"
    if found["step"] is None:
        return "conv"
    stage = block.removeprefix("Mixed_")
    tower = (_V3_TOWERS.get(stage) or _V3_TOWERS[stage[0]])[found["kind"]]
    if found["side"]:  # the last blocks end in two halves
        return f"{tower}/mixed/" + {"a": "conv", "b": "conv_1"}[found["side"]]
    return f"{tower}/" + ("conv" if found["step"] == "1" else f"conv_{int(found['step']) - 1}")
