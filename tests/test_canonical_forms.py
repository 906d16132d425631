"""Canonical forms of rewards on tabular MDPs against their definitions."""

import numpy as np
import pytest
from hypothesis import given, settings
from mdps import expected, mdps, random_mdp, seeds, shaped, two_states
from scipy.linalg import lstsq, null_space

from irl_probe.metrics.tabular import starc
from irl_probe.metrics.tabular.canonical import Redistribution, minimal_form, val_form


def test_the_val_form_of_two_states_has_the_known_values():
    mdp = two_states()
    form = val_form(mdp.reward, mdp.transition, 0.9, np.full((2, 2), 0.5)).values
    np.testing.assert_allclose(form[:, :, 0], [[-0.275, 0.275], [-0.225, 0.225]], atol=1e-12)


@settings(deadline=None, max_examples=50)
@given(mdps(), seeds)
def test_minimal_form_is_the_least_norm_over_shaping_and_redistribution_for_any_coverage(mdp, seed):
    """Against dense least squares over Φ and a basis of {X: E_P[X] = 0}; the coverage is not d·P."""
    rng = np.random.default_rng(seed)
    coverage = rng.dirichlet(np.ones(mdp.reward.size)).reshape(mdp.reward.shape)
    root = np.sqrt(coverage).ravel()
    states, actions, _ = mdp.reward.shape
    shapings = np.stack([shaped(np.zeros(mdp.reward.shape), u, mdp.gamma).ravel() for u in np.eye(states)], axis=1)
    marginal = np.zeros((states * actions, mdp.reward.size))
    for row, (s, a) in enumerate(np.ndindex(states, actions)):
        marginal[row, row * states : (row + 1) * states] = mdp.transition[s, a]
    design = np.column_stack([shapings, null_space(marginal)]) * root[:, None]
    left = mdp.reward.ravel() * root
    solution = lstsq(design, left)[0]
    form, potential = minimal_form(mdp.reward, mdp.transition, mdp.gamma, coverage)
    np.testing.assert_allclose(form.values.ravel() * root, left - design @ solution, atol=1e-8)
    redistributed = form.values - shaped(mdp.reward, -potential.total, mdp.gamma)
    np.testing.assert_allclose(expected(redistributed, mdp), 0, atol=1e-9)


def test_if_the_coverage_leaves_out_a_successor_the_marginal_costs_nothing_there():
    transition = np.full((2, 1, 2), 0.5)
    coverage = np.zeros((2, 1, 2))
    coverage[0, 0] = [0.5, 0.0]
    coverage[1, 0] = [0.25, 0.25]
    found = Redistribution.under(coverage, transition)
    np.testing.assert_allclose(found.weights, [[0.0], [0.5]])
    np.testing.assert_allclose(found.profile[:, 0], [[0.0, 2.0], [1.0, 1.0]])


def test_starc_uses_the_given_policy():
    mdp = random_mdp(3)
    other = random_mdp(4).reward
    greedy = np.eye(3)[np.zeros(6, dtype=int)]
    form = val_form(mdp.reward, mdp.transition, mdp.gamma, greedy).values
    np.testing.assert_allclose(form[:, 0], 0, atol=1e-12)  # the advantage of the action that π takes
    assert starc(mdp.reward, other, mdp.transition, mdp.gamma, policy=greedy) != pytest.approx(
        starc(mdp.reward, other, mdp.transition, mdp.gamma)
    )
