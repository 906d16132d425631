"""The exact measures against their definitions in rational numbers, on random and degenerate MDPs, also at γ = .999999.

`rational.py` has no rounding error and shares no code with the library.
"""

from itertools import pairwise

import numpy as np
import pytest

from irl_probe.metrics.tabular import (
    ambiguity_dimension,
    dard,
    decompose,
    epic,
    npec,
    policy_regret,
    regret,
    soft_policy_regret,
    soft_q,
    soft_regret,
    soft_value,
    starc,
    state_only,
)
from irl_probe.metrics.tabular.values import policy_value
from tests.rational import Exact, exact, rank

GAMMAS = (0.0, 0.9, 0.99, 0.9999, 0.999999)
KINDS = (
    "dense",
    "one state",
    "one action",
    "deterministic",
    "sparse",
    "absorbing",
    "two ends",
    "disconnected",
    "same actions",
)
DISTANCES = ("epic", "dard", "val", "val_potential", "minimal", "npec")
IGNORE_THE_IMPOSSIBLE = ("val", "val_potential", "minimal", "npec")

every_kind = pytest.mark.parametrize("kind", KINDS)
every_gamma = pytest.mark.parametrize("gamma", GAMMAS)


def distance(name, a, b, p, gamma):
    """A distance under the coverage that is uniform over (s, a) times P."""
    coverage = p / (p.shape[0] * p.shape[1])
    if name in ("epic", "npec"):
        return {"epic": epic, "npec": npec}[name](a, b, gamma, coverage=coverage)
    return dard(a, b, p, gamma) if name == "dard" else starc(a, b, p, gamma, canonical=name)


def dynamics(kind, rng):
    """Probabilities in 32nds, which keep the exact numbers short."""
    states, actions = {"one state": 1, "disconnected": 4}.get(kind, 3), 1 if kind == "one action" else 2
    chances = rng.dirichlet(np.ones(states), size=(states, actions))
    if kind == "deterministic":
        chances = np.eye(states)[rng.integers(states, size=(states, actions))]
    if kind == "sparse":
        chances[np.arange(3), :, rng.integers(3, size=3)] = 0
    if kind == "disconnected":
        chances[:2, :, 2:] = chances[2:, :, :2] = 0
    p = rng.multinomial(32, chances / chances.sum(axis=-1, keepdims=True)) / 32
    if kind in ("absorbing", "two ends"):
        p[-1] = np.eye(states)[-1]
    if kind == "two ends":
        p[0] = np.eye(states)[0]
    if kind == "same actions":
        p[:] = p[:, :1]
    return p


def rewards_of(p, rng):
    """A reward of all of (s, a, s′), one of small integers for (s, a), which ties actions, and one of the state."""
    states, actions, _ = p.shape
    whole = rng.integers(-2, 3, size=(states, actions, 1)) + np.zeros(p.shape)
    every, of_state = (np.round(32 * rng.normal(size=size)) / 32 for size in (p.shape, (states, 1, 1)))
    return every, whole, of_state + np.zeros(p.shape)


def trivial_rewards(p, gamma, rng):
    potential = 10 * rng.normal(size=len(p))
    shaping = gamma * potential[None, None, :] - potential[:, None, None] + np.zeros(p.shape)
    return [np.zeros(p.shape), np.full(p.shape, 0.1), np.full(p.shape, -1e6), shaping, shaping + 3.7]


def problem(kind, gamma, seed=0):
    rng = np.random.default_rng([KINDS.index(kind), GAMMAS.index(gamma), seed])
    p = dynamics(kind, rng)
    return p, rng, rng.dirichlet(np.ones(len(p)))


@every_kind
@every_gamma
def test_every_distance_is_that_of_its_definition(kind, gamma):
    p, rng, _ = problem(kind, gamma)
    normal, whole, _ = rewards_of(p, rng)
    reference = Exact(p, gamma)
    for name in DISTANCES:
        for a, b in ((normal, whole), (1000 + normal, normal + 0.1 * whole)):
            right = reference.distance(name, exact(a), exact(b))
            assert distance(name, a, b, p, gamma) == pytest.approx(right, abs=1e-8), name


@every_kind
@every_gamma
def test_every_regret_is_that_of_its_definition(kind, gamma):
    p, rng, start = problem(kind, gamma)
    reference = Exact(p, gamma, initial=start)
    normal, whole, of_state = rewards_of(p, rng)
    shaping = trivial_rewards(p, gamma, rng)[3]
    for true, proxy in ((normal, whole), (whole, of_state)):
        for ties in ("uniform", "best", "worst"):
            right = reference.regret(exact(true), exact(proxy), ties)
            for shaped in (proxy, proxy + shaping):  # whose rounding error must not break ties
                assert regret(true, shaped, p, gamma, start, ties=ties) == pytest.approx(right, abs=1e-8)


@every_kind
@every_gamma
def test_constants_shaped_constants_and_zero_are_trivial_for_every_measure(kind, gamma):
    p, rng, start = problem(kind, gamma)
    normal, *_ = rewards_of(p, rng)
    trivial = trivial_rewards(p, gamma, rng)
    zero = trivial[0]
    for name in DISTANCES:
        apart = [distance(name, a, b, p, gamma) for a, b in pairwise([*trivial, zero])]
        assert apart == [0] * len(trivial), name
        far = [distance(name, normal, each, p, gamma) for each in trivial]
        right = Exact(p, gamma).distance(name, exact(normal), exact(zero))  # 0 where this reward is trivial too
        assert far == pytest.approx([right] * len(trivial), abs=1e-12), name
    for each in trivial:
        assert regret(each, normal, p, gamma, start) == 0
        assert soft_regret(each, zero, p, gamma, start) == 0
        assert decompose(normal, each, p, gamma).scale == 0
    assert len({regret(normal, each, p, gamma, start) for each in trivial}) == 1  # all actions are tied


@every_kind
@every_gamma
def test_small_but_real_differences_are_not_trivial(kind, gamma):
    p, rng, start = problem(kind, gamma)
    normal, whole, _ = rewards_of(p, rng)
    for name in DISTANCES:
        nothing = Exact(p, gamma).distance(name, exact(normal), exact(np.zeros(p.shape))) == 0
        for small, error in ((1 + 1e-6 * normal, 1e-7), (-2 + 1e-9 * normal, 1e-4)):
            assert distance(name, small, normal, p, gamma) == pytest.approx(0, abs=error), name
            top = distance(name, normal, -normal, p, gamma)
            assert nothing == (top == 0)
            assert distance(name, small, -normal, p, gamma) == pytest.approx(top, abs=error), name
    right = Exact(p, gamma, initial=start).regret(exact(normal), exact(whole))
    assert regret(normal, 5 + 1e-5 * whole, p, gamma, start) == pytest.approx(right, abs=1e-8)


@pytest.mark.parametrize("kind", ["deterministic", "sparse", "absorbing", "disconnected"])
@every_gamma
def test_rewards_of_impossible_transitions_change_nothing(kind, gamma):
    """EPIC reads them by definition, in its mean over all s′ of d_S, and DARD some in its last term."""
    p, rng, start = problem(kind, gamma)
    a, b, _ = rewards_of(p, rng)
    other = [np.where(p == 0, 1e12 * rng.normal(size=p.shape), r) for r in (a, b)]
    constant = np.where(p == 0, 1e12, 1.0)
    for name in IGNORE_THE_IMPOSSIBLE:
        assert distance(name, *other, p, gamma) == pytest.approx(distance(name, a, b, p, gamma), abs=1e-12), name
        assert distance(name, other[0], constant, p, gamma) == distance(name, a, np.ones(p.shape), p, gamma), name
        small = np.where(p == 0, 1e12, 1e-3 * a)
        assert distance(name, small, b, p, gamma) == pytest.approx(distance(name, a, b, p, gamma), abs=1e-9), name
    for ties in ("uniform", "best", "worst"):
        found = [regret(*pair, p, gamma, start, ties=ties) for pair in ((a, b), other)]
        assert found[0] == found[1]
    policy = rng.dirichlet(np.ones(p.shape[1]), size=len(p))
    for measure in (policy_regret, soft_policy_regret):
        assert measure(a, policy, p, gamma, start) == measure(other[0], policy, p, gamma, start)
    assert soft_regret(a, b, p, gamma, start) == soft_regret(*other, p, gamma, start)
    np.testing.assert_array_equal(soft_q(a, p, gamma), soft_q(other[0], p, gamma))
    np.testing.assert_array_equal(state_only(a, p, gamma).reward, state_only(other[0], p, gamma).reward)
    parts, again = decompose(b, a, p, gamma), decompose(other[1], other[0], p, gamma)
    assert again.scale == pytest.approx(parts.scale, rel=1e-12)
    assert again.shares == pytest.approx(parts.shares, abs=1e-9)
    for field in ("potential", "residual"):
        np.testing.assert_allclose(getattr(again, field), getattr(parts, field), rtol=1e-9, atol=1e-12)
    assert sum(decompose(constant, a, p, gamma).shares.values()) == 0


@every_gamma
def test_soft_regret_is_the_difference_of_soft_returns(gamma):
    """J*_α − J_α(π) from the two values themselves; near γ = 1 these lose digits."""
    p, rng, start = problem("dense", gamma)
    true, alpha = rng.normal(size=p.shape), 0.5
    policy = rng.dirichlet(np.ones(2), size=3)
    uniform = np.full((3, 2), 0.5)
    best = start @ soft_value(soft_q(true, p, gamma, alpha), alpha)
    r = (p * true).sum(axis=2)
    mine, chance = (start @ policy_value(r - alpha * np.log(pi), p, gamma, pi) for pi in (policy, uniform))
    right = (best - mine) / (best - chance)
    found = soft_policy_regret(true, policy, p, gamma, start, temperature=alpha)
    assert found == pytest.approx(right, rel=1e-8 if gamma < 0.999 else 1e-6)


def test_rows_in_single_precision_are_distributions_too():
    """Their sums are off by 1e-7, which at γ = .999999 would change values by a tenth."""
    p, rng, start = problem("dense", 0.999999)
    rounded = p.astype(np.float32)
    a, b, _ = rewards_of(p, rng)
    for name in DISTANCES[1:5]:
        assert distance(name, np.ones(p.shape), np.full(p.shape, 2.0), rounded, 0.999999) == 0
        assert distance(name, a, b, rounded, 0.999999) == pytest.approx(distance(name, a, b, p, 0.999999), abs=1e-5)
    assert regret(a, b, rounded, 0.999999, start) == pytest.approx(regret(a, b, p, 0.999999, start), abs=1e-5)


# The state-only form


def ambiguity(p, gamma, coverage):
    """dim {g : some h has g(s) + γE[h(s′)] − h(s) = 0 on covered (s, a)}: null space of (g, h) less that of h alone."""
    reference, states = Exact(p, gamma), range(len(p))
    rows = [
        [*(exact(float(s == j)) for j in states), *(reference.g * reference.p[s][a][j] - (s == j) for j in states)]
        for s, a in np.argwhere(coverage > 0)
    ]
    return len(p) - rank(rows) + rank([row[len(p) :] for row in rows])


@every_kind
@every_gamma
def test_the_ambiguity_of_a_state_only_reward_is_that_of_the_null_space(kind, gamma):
    for seed in range(3):
        p, rng, _ = problem(kind, gamma, seed)
        for share in (0.3, 0.7, 1.0):
            coverage = rng.dirichlet(np.ones(p[..., 0].size)).reshape(p.shape[:2]) * (rng.random(p.shape[:2]) < share)
            coverage[0, 0] += 0.1
            coverage /= coverage.sum()
            found = state_only(rng.normal(size=p.shape), p, gamma, coverage=coverage)
            assert found.ambiguity == ambiguity(p, gamma, coverage)


def test_uncovered_actions_and_states_do_not_identify_a_state_only_reward():
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(4), size=(4, 2))
    truth = rng.normal(size=4)
    one_action, two_states = np.zeros((2, 4, 2))
    one_action[:, 1], two_states[:2] = 1 / 4, 1 / 4
    everywhere = state_only(truth[:, None] + np.zeros((4, 2)), p, 0.9)
    assert everywhere.ambiguity == 1
    for coverage in (one_action, two_states):
        assert state_only(truth[:, None] + np.zeros((4, 2)), p, 0.9, coverage=coverage).ambiguity == 4
    assert state_only(truth[:, None] + np.zeros((4, 2)), p, 0.0).ambiguity == 4


def test_of_all_state_only_forms_the_one_of_the_least_potential_is_returned():
    """Against the least-norm h among all solutions of least squares, from the whole design."""
    forced = np.repeat(np.eye(3)[[1, 2, 0]][:, None], 2, axis=1)
    found = state_only([[1.0, 1.0], [2.0, 2.0], [4.0, 4.0]], forced, 0.9)
    np.testing.assert_allclose(found.reward, [1, 2, 4], atol=1e-12)
    p, rng, _ = problem("disconnected", 0.9)
    r = rng.normal(size=p.shape[:2])
    identity = np.repeat(np.eye(4), 2, axis=0)
    design = np.hstack([identity, 0.9 * p.reshape(8, 4) - identity])
    some = np.linalg.lstsq(design, r.ravel(), rcond=1e-12)[0]
    _, singular, right = np.linalg.svd(design)
    null = right[(singular > 1e-10).sum() :]
    shift = np.linalg.lstsq(null[:, 4:].T, -some[4:], rcond=1e-12)[0]
    best = some + shift @ null
    np.testing.assert_allclose(state_only(r, p, 0.9).reward, best[:4], atol=1e-9)


@every_gamma
def test_the_ambiguity_of_several_environments_does_not_depend_on_how_near_gamma_is_to_1(gamma):
    one, two = (dynamics("disconnected", np.random.default_rng(seed)) for seed in (0, 1))
    expected = 4 if gamma == 0 else 2  # without a future every reward of a state is a shaping
    assert ambiguity_dimension([(one, gamma), (two, gamma)]) == expected
    assert ambiguity_dimension([(one, gamma)]) == 4
    assert ambiguity_dimension([(one, gamma), (one, gamma)]) == 4


# Policies


@pytest.mark.parametrize("measure", [policy_regret, soft_policy_regret])
def test_the_rows_of_a_policy_must_be_distributions(measure):
    p, rng, start = problem("dense", 0.9)
    reward = rng.normal(size=p.shape)
    negative = np.array([[1.5, -0.5], [0.5, 0.5], [0.5, 0.5]])
    for policy, message in ((np.full((3, 2), 10.5), "sum to 1; the row at .* sums to 21"), (negative, "not negative")):
        with pytest.raises(ValueError, match=message):
            measure(reward, policy, p, 0.9, start)
    with pytest.raises(ValueError, match=r"'policy' must have shape \(3, 2\)"):
        measure(reward, np.full((3, 3), 1 / 3), p, 0.9, start)
