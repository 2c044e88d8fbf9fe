"""Policies: each image is cleaned by the rule that matches its noise."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest

from rsparse.core.dictionary import Dictionary
from rsparse.core.filters import bilateral
from rsparse.core.noise import noise_level
from rsparse.core.regionsparse import purify
from rsparse.defenses import NoDefense, RegionSparse, Resources, defense_text, parse_defense
from rsparse.defenses.by_noise import ByNoise, Rule
from rsparse.defenses.policy import default_policy, load_policy
from rsparse.defenses.recorded import defense_of
from rsparse.options.purify import PurifyParameters
from tests.refusals import refused

NONE = NoDefense()
FIVE, ONE = RegionSparse(sparsity=5, localize=False), RegionSparse(sparsity=1, localize=False)
TWO_RULES = ByNoise("two", (Rule(FIVE, 3.0), Rule(ONE)))


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def resources(rng) -> Resources:
    atoms = np.linalg.qr(rng.normal(size=(48, 48)))[0].astype(np.float32)
    return Resources({"": Dictionary(atoms, 4)})


def noisy(rng: np.random.Generator, deviation: float) -> np.ndarray:
    noise = rng.normal(0, deviation, size=(64, 64, 1))
    return np.repeat(np.clip(np.rint(128 + noise), 0, 255), 3, axis=2).astype(np.uint8)


@pytest.mark.parametrize(("deviation", "sparsity"), [(0.5, 5), (20, 1)])
def test_an_image_is_cleaned_as_its_rule_says(rng, resources, deviation, sparsity):
    image, mask = noisy(rng, deviation), None
    parameters = PurifyParameters(sparsity=sparsity, localize=False)
    expected = purify(image, resources.dictionaries[""], parameters)
    np.testing.assert_array_equal(TWO_RULES.clean(image, resources, mask), expected)


@pytest.mark.parametrize(("deviation", "place"), [(0, 0), (3, 0), (8, 2), (30, 3)])
def test_the_default_policy_goes_from_many_atoms_to_one(rng, deviation, place):
    image, policy = noisy(rng, deviation), default_policy()
    assert policy.chosen_for(image) == policy.rules[place].defense


def test_the_default_policy_filters_weak_noise_that_has_a_period_in_colour(rng):
    image, policy = noisy(rng, 1.2), default_policy()
    red = np.rint(rng.normal(0, 1.5, size=(64, 64)))
    red[::2] = 0
    image[..., 0] = np.clip(image[..., 0] + red, 0, 255)
    assert policy.chosen_for(image) == policy.rules[1].defense


@pytest.mark.parametrize(("deviation", "place"), [(0, 0), (1.5, 1), (4, 2), (30, 3)])
def test_the_policy_sparing_goes_from_nothing_to_one_atom(rng, deviation, place):
    image, policy = noisy(rng, deviation), load_policy("sparing").defense
    assert policy.chosen_for(image) == policy.rules[place].defense


def test_noise_of_period_two_leads_on_to_the_next_rule(rng):
    policy = ByNoise("period", (Rule(NONE, 6.0, 4.0), Rule(ONE)))
    image = noisy(rng, 2)
    assert policy.chosen_for(image) == NONE
    image[::2] = 128
    assert noise_level(image) < 6
    assert policy.chosen_for(image) == ONE


def test_a_period_in_colour_alone_leads_on_to_the_next_rule(rng):
    policy = ByNoise("colour", (Rule(NONE, color_period_below=3.0), Rule(ONE)))
    image = noisy(rng, 2)
    red, blue = np.rint(rng.normal(0, 1.5, size=(2, 64, 64)))
    image[..., 0] = image[..., 0] + red
    image[..., 2] = image[..., 2] + blue
    assert policy.chosen_for(image) == NONE
    image[::2, :, 0] = image[::2, :, 1]
    assert policy.chosen_for(image) == ONE
    assert policy.rules[0].text == "color period below 3: none"


def test_a_rule_may_look_at_the_period_alone(rng):
    policy = ByNoise("period", (Rule(NONE, period_below=4.0), Rule(ONE)))
    assert policy.chosen_for(noisy(rng, 40)) == NONE


def test_noise_at_a_bound_is_of_the_next_rule(rng):
    image = noisy(rng, 5)
    policy = ByNoise("bound", (Rule(NONE, noise_level(image)), Rule(ONE)))
    assert policy.chosen_for(image) == ONE


def test_a_filter_comes_before_the_whole_image_is_coded(rng, resources):
    rule = RegionSparse(sparsity=3, localize=False, prefilter=True)
    image = noisy(rng, 20)
    whole = PurifyParameters(sparsity=3, localize=False)
    expected = purify(bilateral(image, 9, 80, 80), resources.dictionaries[""], whole)
    clean = ByNoise("filter", (Rule(rule),)).clean(image, resources)
    np.testing.assert_array_equal(clean, expected)


def test_a_mask_reaches_the_rules_that_take_one(rng, resources):
    nowhere = np.zeros((64, 64), dtype=bool)
    region = RegionSparse(sparsity=1, filter_background=False)
    policy = ByNoise("region", (Rule(ONE, 3.0), Rule(region)))
    assert policy.takes_mask
    assert not TWO_RULES.takes_mask
    image = noisy(rng, 20)
    np.testing.assert_array_equal(policy.clean(image, resources, nowhere), image)
    assert (policy.clean(noisy(rng, 1), resources, nowhere) != image).any()


def test_it_needs_what_its_rules_need(resources):
    named = RegionSparse(dictionary="dct")
    policy = ByNoise("both", (Rule(FIVE, 3.0), *map(Rule, parse_defense("slq+jpeg"))))
    assert policy.dictionaries == ("",)
    assert policy.is_random
    assert policy.codecs() == parse_defense("jpeg")[0].codecs()
    assert ByNoise("dct", (Rule(FIVE, 3.0), Rule(named))).dictionaries == ("", "dct")
    with refused("policy two: regionsparse needs a dictionary: --dict dict.h5"):
        TWO_RULES.check(Resources())
    with refused("policy dct: regionsparse needs a dictionary named 'dct': --dict dct=dict.h5"):
        ByNoise("dct", (Rule(named),)).check(resources)


def test_its_record_holds_its_rules_and_gives_it_back():
    record = default_policy().as_record()
    assert record["name"] == "policy"
    assert list(record["rules"][0]) == ["noise_below", "color_period_below", "defense"]
    assert list(record["rules"][-1]) == ["defense"]
    read = json.loads(json.dumps(record, allow_nan=False))
    assert defense_of(read) == default_policy()
    sparing = load_policy("sparing").defense
    assert sparing.as_record()["rules"][0] == {"noise_below": 0.5, "period_below": 4.0,
                                               "defense": {"name": "none"}}  # fmt: skip
    assert defense_of(json.loads(json.dumps(sparing.as_record()))) == sparing
    assert pickle.loads(pickle.dumps(default_policy())) == default_policy()


def test_a_record_names_no_file_that_is_opened():
    record = default_policy().as_record()
    with refused("policy: expected a name of up to 64 letters, digits, '-', '_' and '.', got "
                 "'../mine.toml'"):  # fmt: skip
        defense_of({**record, "policy": "../mine.toml"})


def test_its_text_is_its_name_also_in_a_chain():
    assert defense_text(default_policy()) == "policy-default"
    (chain,) = parse_defense("policy:default+jpeg:quality=40")
    assert defense_text(chain) == "policy-default+jpeg-quality=40"
    assert defense_of(json.loads(json.dumps(chain.as_record()))) == chain


@pytest.mark.parametrize(
    ("rules", "line"),
    [
        ((), "expected at least one rule, got none"),
        ((Rule(NONE, 3.0),),
         "the last rule has bounds; remove them, so that it covers all other images"),
        ((Rule(NONE, period_below=3.0),),
         "the last rule has bounds; remove them, so that it covers all other images"),
        ((Rule(NONE, 3.0), Rule(ONE, 2.0), Rule(FIVE)),
         "rule 2 never applies, since rule 1 covers the same images"),
        ((Rule(NONE), Rule(ONE)), "rule 2 never applies, since rule 1 covers the same images"),
        ((Rule(NONE, 0.0), Rule(ONE)), "rule 1: noise-below: expected a number above 0, got 0.0"),
        ((Rule(NONE, float("nan")), Rule(ONE)),
         "rule 1: noise-below: expected a number above 0, got nan"),
        ((Rule(NONE, 3.0, -1.0), Rule(ONE)),
         "rule 1: period-below: expected a number above 0, got -1.0"),
        ((Rule(TWO_RULES),), "rule 1: a policy cannot contain another policy"),
        ((Rule(parse_defense("none+policy:default")[0]),),
         "rule 1: a policy cannot contain another policy"),
    ],
)  # fmt: skip
def test_rules_that_make_no_sense_are_refused(rules, line):
    with refused(f"policy odd: {line}"):
        ByNoise("odd", rules)


def test_a_rule_with_a_stricter_period_does_not_hide_one_with_less_noise():
    rules = (Rule(NONE, 3.0, 2.0), Rule(ONE, 2.0), Rule(FIVE))
    assert ByNoise("bounds", rules).rules == rules


def test_a_policy_with_one_rule_measures_no_noise(rng, monkeypatch):
    """Measuring takes two milliseconds per image; the policy ``paper`` does not need it."""

    def refuse(image):
        raise AssertionError("measured")

    monkeypatch.setattr("rsparse.core.noise.noise_level", refuse)
    monkeypatch.setattr("rsparse.core.noise.period_two", refuse)
    monkeypatch.setattr("rsparse.core.noise.color_period_two", refuse)
    image = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
    chosen = RegionSparse(sparsity=2)
    assert ByNoise("mine", (Rule(chosen),)).chosen_for(image) is chosen
    with pytest.raises(AssertionError, match="measured"):
        ByNoise("mine", (Rule(NoDefense(), 0.5), Rule(chosen))).chosen_for(image)
