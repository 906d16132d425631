"""The learner reaches the optimum of its objective, which NumPy and SciPy find independently.

Tables on a small stochastic MDP whose data cover every state and action; some steps terminate. The reference shares no
code with the learner: its own φ and value terms, and SciPy's BFGS on numerical gradients.
"""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from gymnasium import spaces
from scipy.optimize import minimize
from scipy.special import logsumexp, softmax

import irl_probe as ip
from irl_probe.demos import Demonstrations
from irl_probe.envs import occupancy, soft_expert
from irl_probe.learn import Replay, SoftQLearner, solve_exactly
from irl_probe.metrics import tabular
from irl_probe.softq import NetworkSpec
from tests.mdps import random_mdp

STATES, ACTIONS, GAMMA, ALPHA = 3, 2, 0.8, 0.7
R_MAX, MAX_WEIGHT, PENALTY = 0.5, 10.0, 10.0
STIFFNESS = 10.0  # of tv's wall, objectives.TV_STIFFNESS

PHI = {
    "kl": lambda r: 1 - np.exp(-r),
    "hellinger": lambda r: r / (1 + r),
    "js": lambda r: np.log(2 - np.exp(-r)),
    "tv": lambda r: r - STIFFNESS * np.maximum(np.abs(r) - R_MAX, 0) ** 2,
    "w1": lambda r: r,
}


@dataclass
class Steps:
    """Rows (s, a, s′, d)."""

    s: np.ndarray
    a: np.ndarray
    s2: np.ndarray
    d: np.ndarray

    def transitions(self):
        """One episode for each row, so that any row may terminate and each row is a start."""
        return ip.Transitions(self.s, self.a, self.s2, self.d, ~self.d, np.arange(len(self.s)))


def sample(seed, count, greed):
    """Rows of a random MDP under a softmax policy, every (s, a) among them; a few terminate."""
    rng = np.random.default_rng(seed)
    mdp = random_mdp(7, STATES, ACTIONS)
    policy = softmax(greed * np.random.default_rng(5).normal(size=(STATES, ACTIONS)), axis=1)
    s = np.concatenate([np.repeat(np.arange(STATES), ACTIONS), rng.integers(STATES, size=count)])
    drawn = [rng.choice(ACTIONS, p=policy[x]) for x in s[STATES * ACTIONS :]]
    a = np.concatenate([np.tile(np.arange(ACTIONS), STATES), drawn]).astype(np.int64)
    s2 = np.array([rng.choice(STATES, p=mdp.transition[x, y]) for x, y in zip(s, a, strict=True)])
    return Steps(s, a, s2, rng.random(len(s)) < 0.1)


EXPERT, OTHERS = sample(0, 60, 2.0), sample(1, 40, 0.0)


def penalty_points(seed):
    """Successors (as distributions over states) at which w1's penalty is taken: the expert's mixed with the others'."""
    generator, count = torch.Generator().manual_seed(seed), len(EXPERT.s)
    share = torch.rand(count, 1, generator=generator, dtype=torch.float64).numpy()
    partner = torch.randint(len(OTHERS.s), (count,), generator=generator).numpy()
    one_hot = np.eye(STATES)
    return share * one_hot[EXPERT.s2] + (1 - share) * one_hot[OTHERS.s2[partner]]


def reference(divergence, chi2_on, value_term, *, chi2_c=0.6, targets=(0.3, -0.2), points=None):
    """argmin of the objective over tables Q, and the objective; w1's penalty is at `points`, or the expert's steps."""
    successors = np.eye(STATES)[EXPERT.s2] if points is None else points

    def rewards(q, steps):
        v = ALPHA * logsumexp(q / ALPHA, axis=1)
        return q[steps.s, steps.a] - GAMMA * (~steps.d) * v[steps.s2], v

    def loss(flat):
        q = flat.reshape(STATES, ACTIONS)
        r, v = rewards(q, EXPERT)
        telescoped = (v[EXPERT.s] - GAMMA * (~EXPERT.d) * v[EXPERT.s2]).mean()
        if value_term in ("initial", "expert_states"):  # every row is an episode: all states are initial
            value = (1 - GAMMA) * v[EXPERT.s].mean()
        elif value_term == "expert":
            value = telescoped
        else:
            other = (v[OTHERS.s] - GAMMA * (~OTHERS.d) * v[OTHERS.s2]).mean()
            value = 0.5 * (telescoped + other)
        if divergence == "chi2":
            square = ((r - targets[0]) ** 2).mean()
            if chi2_on == "mixture":
                square = 0.5 * (square + ((rewards(q, OTHERS)[0] - targets[1]) ** 2).mean())
            return value - r.mean() + square / (4 * chi2_c)
        total = value - PHI[divergence](r).mean()
        if divergence == "w1":  # r's gradient by the encoded s is Q(·, a), by s′ it is −γ Σ_b π(b|s′) Q(·, b)
            policy = softmax(successors @ q / ALPHA, axis=1)
            by_s = (q[:, EXPERT.a] ** 2).sum(axis=0)
            by_s2 = ((~EXPERT.d) * GAMMA * (q @ policy.T)) ** 2
            norm = np.sqrt(by_s + by_s2.sum(axis=0))
            total = total + PENALTY * (np.maximum(norm - 1, 0) ** 2).mean()
        return total

    with np.errstate(all="ignore"):  # a line search may try r outside φ's domain and is then turned back
        found = minimize(
            lambda x: y if np.isfinite(y := loss(x)) else 1e6,
            np.zeros(STATES * ACTIONS),
            method="BFGS",
            jac="3-point",
            options={"gtol": 1e-8, "maxiter": 2000},
        )
    return found.x.reshape(STATES, ACTIONS), loss


def config_of(divergence, chi2_on, value_term):
    return ip.IQConfig(
        divergence=divergence,
        chi2_on=chi2_on,
        chi2_c=0.6,
        reward_targets=(0.3, -0.2),
        reward_bound=R_MAX,
        gradient_penalty=PENALTY,
        max_weight=MAX_WEIGHT,
        value_term=value_term,
        gamma=GAMMA,
        temperature=ALPHA,
        hidden=(),
        batch_size=0,
        precision="float64",
        weight_decay=0.0,
        target_rate=0.0,
        learning_rate=0.3,  # a table of six numbers, at full batches
        steps=600,
    )


BOX = spaces.Discrete(STATES), spaces.Discrete(ACTIONS)


def table(soft_q):
    s, a = (index.ravel() for index in np.indices((STATES, ACTIONS)))
    return soft_q.q(s, a).reshape(STATES, ACTIONS)


def learn(divergence, chi2_on, value_term, *, others=True):
    demos = Demonstrations(EXPERT.transitions(), None, "rows", *BOX)
    config = config_of(divergence, chi2_on, value_term)
    return table(ip.train(demos, config, others=OTHERS.transitions() if others else None, progress=False).soft_q)


def learn_w1(value_term, points):
    """The learner's updates with the policy's steps, its penalty at the same points in each."""
    config = config_of("w1", "expert", value_term).resolve(discrete=True, online=False)
    spec = NetworkSpec.of(*BOX, hidden=())
    learner = SoftQLearner(spec, config, None)
    encoder = learner.network.encoder
    batches = {
        name: Replay.of(spec, encoder, rows.transitions()).sample(0, torch.Generator())
        for name, rows in (("expert", EXPERT), ("policy", OTHERS))
    }
    for step in range(config.steps):
        learner.anneal(1 - step / config.steps)
        learner.update(batches, encoder(torch.as_tensor(EXPERT.s)), torch.Generator().manual_seed(points))
    return table(learner.soft_q)


DIVERGENCES = [("chi2", "expert"), ("chi2", "mixture"), *((name, "expert") for name in PHI)]
VALUE_TERMS = ("initial", "expert", "mixture", "expert_states")
# w1's regulariser is a penalty on r's gradient. Without steps of the policy it is at the expert's own steps. With them
# it is at random points between both, and the tests draw the same points in every update. With the value term `expert`
# the objective is a likelihood of the policy, and Q's level is free as long as the penalty is 0.
UNIQUE = [(*d, v) for d in DIVERGENCES for v in VALUE_TERMS if d[0] != "w1" or v in ("initial", "expert_states")]
WEIGHT = {"kl": lambda r: np.exp(-r), "hellinger": lambda r: (1 + r) ** -2.0, "js": lambda r: 1 / (2 * np.exp(r) - 1)}


@pytest.mark.parametrize(("divergence", "chi2_on", "value_term"), UNIQUE)
def test_the_learned_table_is_the_optimum_of_its_objective(divergence, chi2_on, value_term):
    best, _ = reference(divergence, chi2_on, value_term)
    if divergence in WEIGHT:  # at the optimum φ is not yet continued by its tangent
        v = ALPHA * logsumexp(best / ALPHA, axis=1)
        r = best[EXPERT.s, EXPERT.a] - GAMMA * (~EXPERT.d) * v[EXPERT.s2]
        assert WEIGHT[divergence](r).max() < MAX_WEIGHT
    learned = learn(divergence, chi2_on, value_term, others=divergence != "w1")
    np.testing.assert_allclose(learned, best, atol=1e-5)
    np.testing.assert_allclose(softmax(learned / ALPHA, 1), softmax(best / ALPHA, 1), atol=1e-5)


@pytest.mark.parametrize("value_term", ["initial", "mixture", "expert_states"])
def test_w1_with_steps_of_the_policy_is_the_optimum_at_its_penalty_points(value_term):
    best, _ = reference("w1", "expert", value_term, points=penalty_points(3))
    learned = learn_w1(value_term, 3)
    np.testing.assert_allclose(learned, best, atol=1e-5)
    np.testing.assert_allclose(softmax(learned / ALPHA, 1), softmax(best / ALPHA, 1), atol=1e-5)


@pytest.mark.parametrize("with_policy", [False, True])
def test_w1_with_the_expert_value_term_fixes_the_policy_but_not_the_level_of_q(with_policy):
    best, loss = reference("w1", "expert", "expert", points=penalty_points(3) if with_policy else None)
    learned = learn_w1("expert", 3) if with_policy else learn("w1", "expert", "expert", others=False)
    assert loss(learned.ravel()) == pytest.approx(loss(best.ravel()), abs=1e-9)
    np.testing.assert_allclose(softmax(learned / ALPHA, 1), softmax(best / ALPHA, 1), atol=1e-5)


@pytest.mark.parametrize("divergence", ["chi2", "kl", "hellinger", "js"])
def test_at_the_experts_occupancy_the_weight_of_a_step_is_the_ratio_of_occupancies(divergence):
    """The stationarity of eq. 9: φ′(r)·ρ_E = ρ_π, so for χ² r = 2c(1 − ρ_π/ρ_E)."""
    mdp = ip.envs.gridworld([[0.0, 0.3], [0.1, 1.0]], slip=0.2, gamma=GAMMA)
    expert = occupancy(mdp, soft_expert(mdp, ALPHA))
    config = ip.IQConfig(
        divergence=divergence,
        value_term="expert",
        chi2_on="expert",
        chi2_c=0.6,
        reward_targets=(0.0, 0.0),
        gamma=GAMMA,
        temperature=ALPHA,
    )
    q = solve_exactly(expert, mdp.transition, config)
    s, a = (index.ravel() for index in np.indices(expert.shape))
    table = q.q(s, a).reshape(expert.shape)
    r = tabular.recovered_reward(table, mdp.transition, GAMMA, ALPHA)
    learned = occupancy(mdp, tabular.soft_policy(table, ALPHA))
    weight = {"chi2": lambda r: 1 - r / 1.2, **WEIGHT}[divergence](r)
    np.testing.assert_allclose(weight * expert, learned, atol=1e-6)
