"""The test cases of the ONNX standard, in torch."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

torch = pytest.importorskip("torch")

from rsparse.models.torch.conversion import convert  # noqa: E402
from rsparse.models.torch.functions import (  # noqa: E402
    unknown_operators,
    with_functions_expanded,
)

TYPES = ("float32", "float64", "int64", "int32", "bool", "uint8", "int8")
LEFT_OUT = (
    *("training", "empty_set", "argmax_2d_precomputed", "dropout_default_mask"),
    *("nonpad", "padded_kv", "ext_cache", "past", "hammingwindow", "hannwindow", "blackmanwindow"),
)
"""Training modes, extrema of nothing, second outputs without gradient, and what concerns text."""


def standard_cases() -> list[Any]:
    """The standard's test cases for all operators that expand to supported ones."""
    from onnx.backend.test.case.node import collect_testcases

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cases = collect_testcases()
    return [case for case in cases if is_testable(case)]


def is_testable(case: Any) -> bool:
    given, expected = case.data_sets[0]
    arrays = all(isinstance(value, np.ndarray | np.generic) for value in (*given, *expected))
    if not arrays or any(word in case.name for word in LEFT_OUT):
        return False
    if not {str(np.asarray(value).dtype) for value in (*given, *expected)} <= {*TYPES}:
        return False
    return not unknown_operators(with_functions_expanded(case.model).graph.node)


def run_case(case: Any, *, stored: bool) -> None:
    """Run a test case; ``stored`` stores all inputs but the first in the model."""
    given, expected = case.data_sets[0]
    model = onnx.ModelProto()
    model.CopyFrom(case.model)
    inputs = [value.name for value in model.graph.input]
    if stored:
        for name, value in zip(inputs[1:], given[1:], strict=True):
            model.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
        del model.graph.input[1:]
        given = given[:1]
    found = convert(model)(*(torch.from_numpy(np.array(value)) for value in given))
    found = found if isinstance(found, tuple) else (found,)
    for one_found, one_expected in zip(found, expected, strict=True):
        assert tuple(one_found.shape) == np.shape(one_expected)
        np.testing.assert_allclose(
            one_found.numpy(), one_expected, rtol=max(case.rtol, 1e-3), atol=max(case.atol, 1e-5)
        )


@pytest.mark.slow
def test_cases_of_the_standard() -> None:
    cases = standard_cases()
    failed = {}
    for case in cases:
        for stored in (False, True):
            try:
                run_case(case, stored=stored)
            except Exception as error:
                failed[f"{case.name}, {stored}"] = " ".join(str(error).split())[:200]
    assert failed == {}
    assert len(cases) > 1100
