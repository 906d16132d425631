"""Exact measures on tabular MDPs: known values, definitions, identities, and messages about bad input."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mdps import (
    GRID_GAMMA,
    grid,
    grid_rewards,
    grid_transition,
    mdps,
    random_mdp,
    redistribution,
    seeds,
    shaped,
    two_states,
)

from irl_probe.metrics.tabular import (
    ambiguity_dimension,
    dard,
    decompose,
    epic,
    npec,
    recovered_reward,
    recovered_reward_per_transition,
    regret,
    soft_policy,
    soft_q,
    soft_value,
    starc,
)
from irl_probe.metrics.tabular.values import expected_reward, optimal_q, policy_value, uniform_policy

R = grid_rewards()
P = grid_transition()
D = P / 45
AT = {"abs": 1e-6}


@pytest.mark.parametrize(
    ("a", "b", "distance"),
    [
        ("sparse", "dense", 0.0),
        ("sparse", "center", 0.75),
        ("sparse", "penalty", 1.0),
        ("sparse", "path", 0.160182),
        ("path", "cliff", 0.267213),
    ],
)
def test_epic_gives_the_published_distances_of_the_grid(a, b, distance):
    assert epic(R[a], R[b], GRID_GAMMA, coverage=D) == pytest.approx(distance, **AT)
    assert epic(R[a], R[b], GRID_GAMMA, coverage=np.full(P.shape, 1 / P.size)) == pytest.approx(distance, **AT)


def test_the_other_measures_give_their_known_distance_of_sparse_and_path():
    pair = R["sparse"], R["path"]
    assert starc(*pair, P, GRID_GAMMA) == pytest.approx(0.258499, **AT)
    assert starc(*pair, P, GRID_GAMMA, canonical="minimal") == pytest.approx(0.310625, **AT)
    assert dard(*pair, P, GRID_GAMMA) == pytest.approx(0.175621, **AT)
    assert npec(*pair, GRID_GAMMA, coverage=D) == pytest.approx(0.306856, **AT)


def test_two_states_have_the_known_values():
    mdp = two_states()
    r = expected_reward(mdp.reward, mdp.transition)
    uniform = uniform_policy(mdp.transition)
    np.testing.assert_allclose(
        optimal_q(r, mdp.transition, 0.9), [[4.736842, 5.263158], [4.263158, 4.736842]], atol=1e-6
    )
    value = policy_value(r, mdp.transition, 0.9, uniform)
    np.testing.assert_allclose(value, [2.75, 2.25], atol=1e-12)


def test_a_policy_has_one_value_for_each_state():
    mdp = random_mdp(3)
    greedy = np.eye(3)[np.zeros(6, dtype=int)]
    value = policy_value(expected_reward(mdp.reward, mdp.transition), mdp.transition, mdp.gamma, greedy)
    assert value.shape == (6,)


@settings(deadline=None)
@given(mdps(), st.sampled_from([0.05, 1.0, 7.0]))
def test_reward_to_soft_q_to_reward_is_the_identity(mdp, temperature):
    q = soft_q(mdp.reward, mdp.transition, mdp.gamma, temperature)
    back = recovered_reward(q, mdp.transition, mdp.gamma, temperature)
    np.testing.assert_allclose(back, expected_reward(mdp.reward, mdp.transition), rtol=0, atol=1e-12)


@settings(deadline=None)
@given(mdps(), seeds, st.sampled_from([0.05, 1.0, 7.0]))
def test_soft_q_to_reward_to_soft_q_is_the_identity(mdp, seed, temperature):
    q = np.random.default_rng(seed).normal(size=mdp.transition.shape[:2])
    reward = recovered_reward(q, mdp.transition, mdp.gamma, temperature)
    np.testing.assert_allclose(soft_q(reward, mdp.transition, mdp.gamma, temperature), q, rtol=0, atol=1e-9)


def test_soft_q_tends_to_the_optimal_q_as_the_temperature_falls():
    mdp = random_mdp(0)
    hard = optimal_q(expected_reward(mdp.reward, mdp.transition), mdp.transition, mdp.gamma)
    np.testing.assert_allclose(soft_q(mdp.reward, mdp.transition, mdp.gamma, 1e-7), hard, atol=1e-5)


@settings(deadline=None)
@given(mdps(), seeds)
def test_the_per_transition_reward_is_the_soft_advantage_plus_shaping(mdp, seed):
    q = np.random.default_rng(seed).normal(size=mdp.transition.shape[:2])
    per_transition = recovered_reward_per_transition(q, mdp.gamma)
    advantage = np.broadcast_to(np.log(soft_policy(q))[:, :, None], mdp.transition.shape)
    np.testing.assert_allclose(per_transition, shaped(advantage, -soft_value(q), mdp.gamma), atol=1e-12)
    np.testing.assert_allclose(
        expected_reward(per_transition, mdp.transition), recovered_reward(q, mdp.transition, mdp.gamma), atol=1e-12
    )


def test_under_slip_epic_and_dard_separate_the_per_transition_reward_from_the_truth_but_not_the_marginal_one():
    mdp = grid("sparse", slip=0.2)
    q = soft_q(mdp.reward, mdp.transition, mdp.gamma)
    per_transition = recovered_reward_per_transition(q, mdp.gamma)
    marginal = recovered_reward(q, mdp.transition, mdp.gamma)
    assert epic(mdp.reward, per_transition, mdp.gamma, coverage=mdp.coverage) == pytest.approx(0.5292, abs=5e-5)
    assert dard(mdp.reward, per_transition, mdp.transition, mdp.gamma) == pytest.approx(0.4332, abs=5e-5)
    assert starc(mdp.reward, per_transition, mdp.transition, mdp.gamma) < 1e-9
    assert starc(mdp.reward, per_transition, mdp.transition, mdp.gamma, canonical="minimal") < 1e-9
    assert epic(mdp.reward, marginal, mdp.gamma, coverage=mdp.coverage) < 1e-9


@settings(deadline=None, max_examples=50)
@given(mdps(), seeds)
def test_npec_is_the_least_distance_over_scale_and_potential(mdp, seed):
    """Against dense non-negative least squares: minimise over λ ≥ 0 and Φ = Φ⁺ − Φ⁻."""
    from scipy.optimize import nnls

    rng = np.random.default_rng(seed)
    other = rng.normal(size=mdp.reward.shape)
    coverage = rng.dirichlet(np.ones(mdp.reward.size)).reshape(mdp.reward.shape)
    root = np.sqrt(coverage).ravel()
    states = len(mdp.transition)
    columns = [shaped(np.zeros(mdp.reward.shape), unit, mdp.gamma).ravel() * root for unit in np.eye(states)]
    design = np.stack([*columns, *(-c for c in columns)], axis=1)
    target = mdp.reward.ravel() * root
    _, with_scale = nnls(np.column_stack([other.ravel() * root, design]), target, maxiter=10_000)
    _, without = nnls(design, target, maxiter=10_000)
    assert npec(mdp.reward, other, mdp.gamma, coverage=coverage) == pytest.approx(with_scale / without, abs=1e-6)


# Regret


def test_regret_is_zero_for_the_true_reward_and_one_for_its_opposite():
    mdp = random_mdp(1)
    at = (mdp.transition, mdp.gamma, mdp.initial)
    assert regret(mdp.reward, mdp.reward, *at) == pytest.approx(0, abs=1e-12)
    assert regret(mdp.reward, -mdp.reward, *at) == pytest.approx(1, abs=1e-12)


def test_regret_of_a_constant_proxy_depends_on_how_ties_are_broken():
    mdp = two_states()
    at = (mdp.reward, np.ones((2, 2)), mdp.transition, mdp.gamma, mdp.initial)
    assert regret(*at, ties="best") == pytest.approx(0, abs=1e-12)
    assert regret(*at, ties="worst") == pytest.approx(1, abs=1e-12)
    # J* = 5.263158 (switch for ever), J_uniform = 2.75, J_min = 0 (stay for ever)
    assert regret(*at, ties="uniform") == pytest.approx((5.2631578947 - 2.75) / 5.2631578947, abs=1e-9)


@settings(deadline=None, max_examples=50)
@given(mdps(), seeds)
def test_regret_with_ties_lies_between_best_and_worst(mdp, seed):
    proxy = np.random.default_rng(seed).integers(0, 2, size=len(mdp.transition)).astype(float)
    best, uniform, worst = (
        regret(mdp.reward, proxy, mdp.transition, mdp.gamma, mdp.initial, ties=t) for t in ("best", "uniform", "worst")
    )
    assert 0 <= best <= uniform + 1e-12
    assert uniform <= worst + 1e-12 <= 1 + 1e-12


def test_regret_by_enumerating_all_deterministic_policies():
    mdp = random_mdp(5, states=3, actions=2)
    r = expected_reward(mdp.reward, mdp.transition)
    proxy = random_mdp(6, states=3, actions=2).reward
    p = expected_reward(proxy, mdp.transition)
    policies = [np.eye(2)[list(choice)] for choice in np.ndindex(2, 2, 2)]
    true_returns = [mdp.initial @ policy_value(r, mdp.transition, mdp.gamma, pi) for pi in policies]
    proxy_values = [policy_value(p, mdp.transition, mdp.gamma, pi).sum() for pi in policies]
    reached = true_returns[int(np.argmax(proxy_values))]
    expected = (max(true_returns) - reached) / (max(true_returns) - min(true_returns))
    assert expected > 0.01
    assert regret(mdp.reward, proxy, mdp.transition, mdp.gamma, mdp.initial) == pytest.approx(expected, abs=1e-10)


# Decomposition


@settings(deadline=None, max_examples=50)
@given(mdps(min_actions=3), seeds, st.floats(-3, 3))
def test_decompose_finds_the_parts_that_a_reward_was_made_of(mdp, seed, scale):
    rng = np.random.default_rng(seed)
    potential = rng.normal(size=len(mdp.transition))
    extra = redistribution(mdp, rng)
    recovered = scale * shaped(mdp.reward, np.zeros_like(potential), mdp.gamma) + extra
    recovered = shaped(recovered, potential, mdp.gamma)
    parts = decompose(recovered, mdp.reward, mdp.transition, mdp.gamma)
    assert parts.scale == pytest.approx(scale, abs=1e-7)
    np.testing.assert_allclose(parts.potential, potential, atol=1e-6)
    np.testing.assert_allclose((mdp.transition > 0) * parts.residual, 0, atol=1e-7)
    np.testing.assert_allclose((mdp.transition > 0) * (parts.redistribution - extra), 0, atol=1e-6)


@settings(deadline=None, max_examples=50)
@given(mdps(), seeds)
def test_decomposition_adds_up_and_its_residual_is_orthogonal(mdp, seed):
    rng = np.random.default_rng(seed)
    recovered = rng.normal(size=mdp.reward.shape)
    coverage = rng.dirichlet(np.ones(mdp.reward.size)).reshape(mdp.reward.shape)
    parts = decompose(recovered, mdp.reward, mdp.transition, mdp.gamma, coverage=coverage)
    whole = shaped(parts.scale * mdp.reward, parts.potential, mdp.gamma) + parts.redistribution + parts.residual
    np.testing.assert_allclose(whole + parts.constant, recovered, atol=1e-9)
    np.testing.assert_allclose(expected_reward(parts.redistribution, mdp.transition), 0, atol=1e-7)
    assert (coverage * parts.residual * mdp.reward).sum() == pytest.approx(0, abs=1e-8)
    assert sum(parts.shares.values()) == pytest.approx(1, abs=1e-8)
    assert parts.shares["residual"] >= -1e-12


def test_a_constant_is_shaping_by_a_constant_potential():
    mdp = random_mdp(2, gamma=0.9)
    parts = decompose(mdp.reward + 0.5, mdp.reward, mdp.transition, mdp.gamma)
    np.testing.assert_allclose(parts.potential, -5.0, atol=1e-9)
    assert parts.constant == 0


def test_the_per_transition_reward_differs_from_the_truth_by_redistribution_alone():
    mdp = grid("sparse", slip=0.2)
    per_transition = recovered_reward_per_transition(soft_q(mdp.reward, mdp.transition, mdp.gamma), mdp.gamma)
    parts = decompose(per_transition, mdp.reward, mdp.transition, mdp.gamma)
    assert parts.scale == pytest.approx(1)
    assert parts.shares["scale"] + parts.shares["redistribution"] == pytest.approx(1)
    assert parts.shares["redistribution"] > 0.5


# Ambiguity


def test_one_environment_leaves_every_shaping_open():
    mdp = random_mdp(0)
    assert ambiguity_dimension([(mdp.transition, 0.9)]) == 6
    assert ambiguity_dimension([(mdp.transition, 0.9), (mdp.transition, 0.9)]) == 6


def test_two_random_environments_identify_the_reward_up_to_a_constant():
    assert ambiguity_dimension([(random_mdp(seed).transition, 0.9) for seed in (0, 1)]) == 1
    assert ambiguity_dimension([(random_mdp(0).transition, gamma) for gamma in (0.9, 0.5)]) == 1
    assert ambiguity_dimension([(random_mdp(seed).transition, 0.9) for seed in (0, 1, 2)]) == 1


@settings(deadline=None, max_examples=30)
@given(mdps(), mdps(), seeds)
def test_ambiguity_is_the_kernel_of_the_stacked_equations(one, two, seed):
    """The definition itself, by the rank of [I − γ₁P₁ | −(I − γ₂P₂)], on environments that agree in some states."""
    states, actions, _ = one.transition.shape
    rng = np.random.default_rng(seed)
    other = rng.dirichlet(np.ones(states), size=(states, actions))
    agree = rng.random(states) < 0.5
    other[agree] = one.transition[agree]
    blocks = [
        np.repeat(np.eye(states), actions, axis=0) - g * p.reshape(-1, states)
        for p, g in ((one.transition, one.gamma), (other, two.gamma))
    ]
    kernel = 2 * states - np.linalg.matrix_rank(np.hstack([blocks[0], -blocks[1]]), tol=1e-9)
    assert ambiguity_dimension([(one.transition, one.gamma), (other, two.gamma)]) == kernel


# Trivial rewards


@pytest.mark.parametrize("trivial", [np.zeros(6), np.full(6, 3.0), 1e6 * np.ones((6, 3, 6))])
def test_a_constant_reward_has_the_documented_distances(trivial):
    mdp = random_mdp(0)
    at = (mdp.transition, mdp.gamma)
    distances = {
        "epic": lambda a, b: epic(a, b, mdp.gamma, coverage=mdp.coverage),
        "dard": lambda a, b: dard(a, b, *at),
        "val": lambda a, b: starc(a, b, *at),
        "val_potential": lambda a, b: starc(a, b, *at, canonical="val_potential"),
        "minimal": lambda a, b: starc(a, b, *at, canonical="minimal"),
        "npec": lambda a, b: npec(a, b, mdp.gamma, coverage=mdp.coverage),
    }
    for name, distance in distances.items():
        far = 0.5 if name in ("epic", "dard") else 1.0
        assert distance(trivial, trivial) == 0, name
        assert distance(trivial, mdp.reward) == pytest.approx(far), name
        assert distance(mdp.reward, trivial) == pytest.approx(far), name
    assert regret(trivial, mdp.reward, *at, mdp.initial) == 0
    assert decompose(mdp.reward, trivial, *at).scale == 0
    assert decompose(trivial, mdp.reward, *at).shares == dict.fromkeys(
        ("scale", "potential", "redistribution", "residual"), 0.0
    )


def test_rewards_may_lack_the_axes_that_they_do_not_depend_on():
    mdp = random_mdp(0)
    state, pair = np.arange(6.0), np.arange(18.0).reshape(6, 3) ** 0.5
    full = [np.broadcast_to(state[:, None, None], (6, 3, 6)), np.broadcast_to(pair[:, :, None], (6, 3, 6))]
    assert epic(state, pair, 0.9, coverage=mdp.coverage) == epic(*full, 0.9, coverage=mdp.coverage)


# Bad input


def call(measure, **changed):
    mdp = random_mdp(0)
    given = {
        "reward_a": mdp.reward,
        "reward_b": mdp.reward,
        "transition": mdp.transition,
        "gamma": 0.9,
        "coverage": mdp.coverage,
    } | changed
    if measure in (epic, npec):
        given.pop("transition")
    return measure(**given)


@pytest.mark.parametrize("measure", [epic, dard, starc, npec])
def test_the_message_about_nan_in_a_reward_names_its_index(measure):
    reward = np.zeros((6, 3, 6))
    reward[1, 2, 3] = np.nan
    with pytest.raises(ValueError, match=r"'reward_b' must be finite; got nan at index \(1, 2, 3\)"):
        call(measure, reward_b=reward)


@pytest.mark.parametrize("measure", [epic, dard, starc, npec])
def test_coverage_must_sum_to_one_and_not_be_negative(measure):
    coverage = random_mdp(0).coverage
    with pytest.raises(ValueError, match="'coverage' must sum to 1; it sums to 2"):
        call(measure, coverage=2 * coverage)
    negative = coverage.copy()
    negative[0, 1, 2] = -0.1
    with pytest.raises(ValueError, match=r"not negative; got -0\.1 at index \(0, 1, 2\)"):
        call(measure, coverage=negative)


@pytest.mark.parametrize("measure", [dard, starc])
def test_rows_of_the_transition_must_sum_to_one(measure):
    transition = random_mdp(0).transition.copy()
    transition[4, 1] *= 0.5
    with pytest.raises(
        ValueError, match=r"Every row P\[s, a\] of 'transition' must sum to 1; .*\(4, 1\) sums to 0.5. Divide counts"
    ):
        call(measure, transition=transition)
    with pytest.raises(ValueError, match=r"must have shape \(S, A, S\)"):
        call(measure, transition=transition[:, :, :5])


@pytest.mark.parametrize("gamma", [-0.1, 1.5, np.nan])
@pytest.mark.parametrize("measure", [epic, dard, starc, npec])
def test_gamma_outside_its_interval_is_refused(measure, gamma):
    with pytest.raises(ValueError, match="The discount γ must lie in"):
        call(measure, gamma=gamma)


@pytest.mark.parametrize("gamma", ["0.9", None, [0.9]])
def test_gamma_that_is_not_a_number_is_refused(gamma):
    with pytest.raises(ValueError, match="The discount γ must be a number"):
        call(starc, gamma=gamma)


def test_gamma_of_one_is_allowed_only_for_epic_and_dard():
    assert call(epic, gamma=1.0) < 1e-12
    assert call(dard, gamma=1) < 1e-12
    for measure in (starc, npec):
        with pytest.raises(ValueError, match=r"\[0, 1\); got 1.*At γ = 1 values may be infinite"):
            call(measure, gamma=1)


def test_an_unknown_option_is_answered_with_the_nearest():
    with pytest.raises(ValueError, match=r"'canonical' must be one of .*got 'minimum'\. Did you mean 'minimal'"):
        call(starc, canonical="minimum")
    mdp = random_mdp(0)
    with pytest.raises(ValueError, match=r"'ties' must be one of .*Did you mean 'worst'"):
        regret(mdp.reward, mdp.reward, mdp.transition, 0.9, mdp.initial, ties="wurst")


def test_wrong_shapes_are_named():
    with pytest.raises(ValueError, match=r"'reward_a' must have shape \(6, 3, 6\), .*got \(6, 2\)"):
        call(epic, reward_a=np.zeros((6, 2)))
    with pytest.raises(ValueError, match=r"'coverage' must be a distribution over \(s, a, s′\).*got \(6, 3\)"):
        call(npec, coverage=np.full((6, 3), 1 / 18))
    with pytest.raises(ValueError, match=r"'states' must have shape \(6,\); got \(5,\)"):
        call(epic, states=np.full(5, 0.2))
    with pytest.raises(ValueError, match=r"Every row π\[s\] of 'policy' must sum to 1"):
        call(starc, policy=np.ones((6, 3)))
    with pytest.raises(ValueError, match="'minimal' canonical form does not depend on a policy"):
        call(starc, policy=np.full((6, 3), 1 / 3), canonical="minimal")
    with pytest.raises(ValueError, match="'reward_a' must be real numbers; got dtype <U1"):
        call(epic, reward_a=np.full((6, 3, 6), "a"))
    with pytest.raises(ValueError, match=r"'q' must have shape \(S, A\); got \(4,\)"):
        soft_value(np.zeros(4))


@pytest.mark.parametrize("temperature", [0, -1, np.inf, np.nan])
def test_the_temperature_must_be_positive(temperature):
    with pytest.raises(ValueError, match="temperature must be positive and finite"):
        soft_value(np.zeros((2, 2)), temperature)


def test_ambiguity_needs_at_least_one_environment_and_equal_sizes():
    with pytest.raises(ValueError, match="at least one environment"):
        ambiguity_dimension([])
    mdp = random_mdp(0)
    for unpaired in (([mdp.transition], 0.9), (mdp.transition,), ([0.9],)):
        with pytest.raises(
            ValueError, match=r"Each environment must be a pair \(P, γ\).*environment 0 is not a pair but"
        ):
            ambiguity_dimension(*unpaired)
    with pytest.raises(ValueError, match="same states and actions"):
        ambiguity_dimension([(random_mdp(0, states=s).transition, 0.9) for s in (3, 4)])
    with pytest.raises(ValueError, match=r"must lie in \(0, 1\); got 2"):
        ambiguity_dimension([(random_mdp(0).transition, 0.9)], tol=2)


@pytest.mark.parametrize("successors", [4, None])
def test_every_measure_of_400_states_takes_less_than_five_seconds_of_cpu_time(successors):
    one = random_mdp(0, states=400, actions=5, gamma=0.99, successors=successors)
    two = random_mdp(1, states=400, actions=5, gamma=0.99, successors=successors)
    pair, at = (one.reward, two.reward), (one.transition, one.gamma)
    calls = {
        "soft_q": lambda: soft_q(one.reward, *at),
        "epic": lambda: epic(*pair, 0.99, coverage=one.coverage),
        "dard": lambda: dard(*pair, *at),
        "val": lambda: starc(*pair, *at),
        "val_potential": lambda: starc(*pair, *at, canonical="val_potential"),
        "minimal": lambda: starc(*pair, *at, canonical="minimal"),
        "npec": lambda: npec(*pair, 0.99, coverage=one.coverage),
        "regret": lambda: regret(*pair, *at, one.initial),
        "decompose": lambda: decompose(*pair, *at),
        "ambiguity": lambda: ambiguity_dimension([at, (two.transition, 0.9)]),
    }
    for name, measure in calls.items():
        began = time.process_time()
        measure()
        assert time.process_time() - began < 5, name
