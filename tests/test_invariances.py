"""Changes that measures ignore (docs/measures.md), on random MDPs; changes that they do not ignore, on one MDP."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mdps import grid, mdps, random_mdp, redistribution, seeds, shaped

from irl_probe.metrics.tabular import dard, epic, npec, regret, starc

MEASURES = {
    "epic": lambda a, b, m: epic(a, b, m.gamma, coverage=m.coverage),
    "epic off the dynamics": lambda a, b, m: epic(a, b, m.gamma, coverage=m.everything),
    "dard": lambda a, b, m: dard(a, b, m.transition, m.gamma),
    "val": lambda a, b, m: starc(a, b, m.transition, m.gamma),
    "val_potential": lambda a, b, m: starc(a, b, m.transition, m.gamma, canonical="val_potential"),
    "minimal": lambda a, b, m: starc(a, b, m.transition, m.gamma, canonical="minimal"),
    "minimal off the dynamics": lambda a, b, m: starc(
        a, b, m.transition, m.gamma, canonical="minimal", coverage=m.everything
    ),
    "npec": lambda a, b, m: npec(a, b, m.gamma, coverage=m.coverage),
    "regret": lambda a, b, m: regret(a, b, m.transition, m.gamma, m.initial),
}
REDISTRIBUTION_INVARIANT = ["val", "minimal", "minimal off the dynamics", "regret"]
REDISTRIBUTION_SENSITIVE = sorted(set(MEASURES) - set(REDISTRIBUTION_INVARIANT))
DISTANCES = sorted(set(MEASURES) - {"regret"})

every_measure = pytest.mark.parametrize("name", sorted(MEASURES))
quick = settings(deadline=None, max_examples=30)


def assert_replaceable(name, mdp, other, changed):
    """`changed` can replace the reward on either side of the measure, and is at distance 0 from it."""
    measure = MEASURES[name]
    assert measure(mdp.reward, changed, mdp) < 1e-8
    expected = measure(mdp.reward, other, mdp)
    assert measure(changed, other, mdp) == pytest.approx(expected, abs=1e-8)
    assert measure(other, changed, mdp) == pytest.approx(measure(other, mdp.reward, mdp), abs=1e-8)


@every_measure
@quick
@given(mdps(), seeds)
def test_potential_shaping_changes_nothing(name, mdp, seed):
    rng = np.random.default_rng(seed)
    potential = rng.normal(scale=3, size=len(mdp.transition))
    assert_replaceable(name, mdp, rng.normal(size=mdp.reward.shape), shaped(mdp.reward, potential, mdp.gamma))


@every_measure
@quick
@given(mdps(), seeds, st.floats(0.01, 100))
def test_positive_scale_changes_nothing(name, mdp, seed, scale):
    other = np.random.default_rng(seed).normal(size=mdp.reward.shape)
    assert_replaceable(name, mdp, other, scale * mdp.reward)


@every_measure
@quick
@given(mdps(), seeds, st.floats(-50, 50))
def test_a_constant_changes_nothing(name, mdp, seed, constant):
    other = np.random.default_rng(seed).normal(size=mdp.reward.shape)
    assert_replaceable(name, mdp, other, mdp.reward + constant)


@pytest.mark.parametrize("name", REDISTRIBUTION_INVARIANT)
@quick
@given(mdps(), seeds)
def test_redistribution_over_successors_changes_nothing(name, mdp, seed):
    rng = np.random.default_rng(seed)
    assert_replaceable(name, mdp, rng.normal(size=mdp.reward.shape), mdp.reward + redistribution(mdp, rng))


@pytest.mark.parametrize("name", REDISTRIBUTION_SENSITIVE)
def test_redistribution_over_successors_changes_the_other_measures(name):
    for mdp in (grid("sparse", slip=0.2), random_mdp(0)):
        changed = mdp.reward + redistribution(mdp, np.random.default_rng(1))
        assert MEASURES[name](mdp.reward, changed, mdp) > 0.1


def test_a_redistribution_under_one_dynamics_is_not_one_under_another():
    """Regret, VAL and Minimal ignore X only if E_{s′~P}[X] = 0 for the P that they are given."""
    mdp, elsewhere = random_mdp(0), random_mdp(1)
    changed = mdp.reward + 3 * redistribution(mdp, np.random.default_rng(0))
    for name in REDISTRIBUTION_INVARIANT:
        assert MEASURES[name](mdp.reward, changed, mdp) < 1e-9
        assert MEASURES[name](mdp.reward, changed, elsewhere) > 0.01


@pytest.mark.parametrize("name", DISTANCES)
@quick
@given(mdps(), seeds)
def test_distances_are_symmetric_bounded_and_largest_for_the_opposite(name, mdp, seed):
    other = np.random.default_rng(seed).normal(size=mdp.reward.shape)
    measure = MEASURES[name]
    top = 1 if name.startswith(("epic", "dard", "npec")) else 2
    assert measure(mdp.reward, other, mdp) == pytest.approx(measure(other, mdp.reward, mdp), abs=1e-9)
    assert 0 <= measure(mdp.reward, other, mdp) <= top + 1e-12
    assert measure(mdp.reward, -mdp.reward, mdp) == pytest.approx(top, abs=1e-8)
