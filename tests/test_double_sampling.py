"""The χ² term where s′ is a matter of chance: its bias at one sampled s′, and the product at two, which has none."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from gymnasium import spaces

import irl_probe as ip
from irl_probe.demos import Demonstrations
from irl_probe.envs import SimulatedStep, TabularEnv, TabularMDP, simulator
from irl_probe.learn import TrainingInterrupted, solve_exactly
from irl_probe.learn.continuous import AtDraws, SoftActorCritic
from irl_probe.learn.objectives import SecondSuccessor, StepValues, squared_gap
from irl_probe.learn.replay import Replay
from irl_probe.softq import NetworkSpec

# A lottery: s0 leads to s1 with the chance WIN, else to s2; both last for ever. The expert is in s0 and s1, and others
# in s2. There is one action, so the first two terms of the loss cancel, and the χ² term is the whole loss.
GAMMA, WIN, SHARE, TARGETS = 0.5, 0.25, 0.8, (1.0, -1.0)
LOTTERY = np.array([[[0, WIN, 1 - WIN]], [[0, 1, 0]], [[0, 0, 1]]], dtype=float)
EXPERT, OTHERS = np.array([[SHARE], [1 - SHARE], [0]]), np.array([[0.0], [0], [1]])
CONFIG = ip.IQConfig(
    gamma=GAMMA,
    temperature=1.0,
    value_term="expert",
    chi2_on="mixture",
    reward_targets=TARGETS,
    hidden=(),
    batch_size=0,
    precision="float64",
    weight_decay=0.0,
    learning_rate=0.1,
    steps=250,
)


def values(soft_q):
    return soft_q.q(np.arange(3), np.zeros(3, dtype=np.int64))


def predicted():
    """V(s1) − V(s2) at the optimum of the exact and of the sampled objective.

    With v = V(s1) and w = V(s2), V(s0) fits its target, and the sampled objective is, up to a factor,
    SHARE·γ²·WIN(1 − WIN)(v − w)² + (1 − SHARE)((1 − γ)v − 1)² + ((1 − γ)w + 1)².
    """
    exact = (TARGETS[0] - TARGETS[1]) / (1 - GAMMA)
    bias = SHARE * GAMMA**2 * WIN * (1 - WIN)
    return exact, exact / (1 + bias * (1 / (1 - SHARE) + 1) / (1 - GAMMA) ** 2)


def test_the_sampled_objective_pulls_the_values_of_successors_together_by_the_predicted_amount():
    exact, biased = predicted()
    assert biased < 0.55 * exact
    for sampled, right in ((False, exact), (True, biased)):
        v = values(solve_exactly(EXPERT, LOTTERY, CONFIG, others=OTHERS, sampled=sampled, iterations=40))
        assert v[1] - v[2] == pytest.approx(right, abs=1e-6)
        assert v[0] - GAMMA * (WIN * v[1] + (1 - WIN) * v[2]) == pytest.approx(TARGETS[0], abs=1e-6)


def test_where_the_dynamics_are_deterministic_there_is_no_bias():
    certain = np.eye(3)[[1, 1, 2]][:, None]
    found = [
        values(solve_exactly(EXPERT, certain, CONFIG, others=OTHERS, sampled=each, iterations=40))
        for each in (False, True)
    ]
    np.testing.assert_allclose(*found, atol=1e-6)


@pytest.mark.parametrize("end", [None, 2.0])
def test_the_square_is_too_large_by_the_variance_and_the_product_of_two_is_right(end):
    """All pairs of successors of one (s, a), the last of which ends the episode, by their probabilities."""
    p, v = np.array([0.5, 0.3, 0.2]), np.array([1.0, -2.0, 0.0])
    d, tail = np.array([0.0, 0.0, 1.0]), 0.0 if end is None else end
    first, second = (index.ravel() for index in np.indices((3, 3)))
    tensors = [torch.tensor(x) for x in (np.full(9, 0.7), np.zeros(9), v[first], d[first], p[first] * p[second])]
    once = StepValues(*tensors)
    twice = replace(once, second=SecondSuccessor(torch.tensor(v[second]), torch.tensor(d[second])))
    terminal = None if end is None else torch.tensor(end, dtype=torch.float64)
    reward = 0.7 - GAMMA * (v + d * tail)
    absorbing = 0 if end is None else p[2] * GAMMA / (1 - GAMMA) * ((1 - GAMMA) * end - 0.4) ** 2
    right = (p @ reward - 0.4) ** 2 + absorbing
    variance = p @ reward**2 - (p @ reward) ** 2
    assert squared_gap(twice, 0.4, GAMMA, terminal).item() == pytest.approx(right)
    assert squared_gap(once, 0.4, GAMMA, terminal).item() == pytest.approx(right + variance)


def rows(states, successors):
    count = len(states)
    ends = np.zeros(count, dtype=bool)
    return ip.Transitions(states, np.zeros(count, dtype=np.int64), successors, ends, ~ends, np.arange(count))


def lottery():
    """160 steps of the expert in s0, of which WIN·160 lead to s1, and 40 in s1; 40 steps of others in s2."""
    states = np.repeat([0, 1], [160, 40])
    demos = rows(states, np.repeat([1, 2, 1], [40, 120, 40]))
    others = rows(np.full(40, 2), np.full(40, 2))
    return Demonstrations(demos, None, "lottery", spaces.Discrete(3), spaces.Discrete(1)), others


MDP = TabularMDP(LOTTERY, np.zeros((3, 1, 3)), GAMMA, np.array([1.0, 0, 0]), "lottery")


def test_with_two_draws_the_learner_reaches_the_exact_optimum_and_with_one_the_biased_one():
    demos, others = lottery()
    exact, biased = predicted()
    for square, right in (("double", exact), ("sampled", biased)):
        config = replace(CONFIG, chi2_square=square)
        v = values(ip.train(demos, config, others=others, simulator=simulator(MDP), progress=False).soft_q)
        assert v[1] - v[2] == pytest.approx(right, abs=0.15), square


def test_a_run_with_two_draws_online_is_resumed_bit_for_bit(tmp_path, monkeypatch):
    demos, _ = lottery()
    config = replace(CONFIG, chi2_square="double", batch_size=4, steps=60, learning_starts=5, evaluate_every=0)
    env, original, calls = TabularEnv(MDP, horizon=5), Replay.sample, []

    def sample(self, size, generator):
        calls.append(1)
        if len(calls) == 40:
            raise_interrupt()
        return original(self, size, generator)

    def raise_interrupt():
        import signal

        signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patched:
        patched.setattr(Replay, "sample", sample)
        with pytest.raises(TrainingInterrupted):
            ip.train(demos, config, env=env, out=tmp_path / "run", progress=False)
    resumed = ip.train(demos, config, env=env, out=tmp_path / "run", resume=True, progress=False)
    whole = ip.train(demos, config, env=env, progress=False)
    np.testing.assert_array_equal(values(resumed.soft_q), values(whole.soft_q))


class Wind:
    """s′ = s + 0.1a + noise."""

    def __init__(self):
        self.reseed(0)

    def reseed(self, seed):
        self._rng = np.random.default_rng(seed)

    def step(self, observations, actions):
        moved = observations + 0.1 * actions + self._rng.normal(size=observations.shape)
        return SimulatedStep(moved.astype(np.float32), np.zeros(len(moved)), self._rng.random(len(moved)) < 0.2)


def windy(count=12):
    rng = np.random.default_rng(0)
    states, actions = (rng.uniform(-1, 1, size=(count, 1)).astype(np.float32) for _ in range(2))
    ends = np.arange(count) == count - 1
    steps = ip.Transitions(states, actions, states + 0.1 * actions, ends, np.zeros(count, bool), np.zeros(count, int))
    return Demonstrations(steps, None, "windy", spaces.Box(-1, 1, (1,)), spaces.Box(-1, 1, (1,)))


@pytest.mark.parametrize("target_rate", [0.0, 0.01])
def test_with_continuous_actions_v_is_taken_at_both_successors(target_rate):
    demos = windy()
    config = ip.IQConfig(chi2_square="double", hidden=(8,), target_rate=target_rate)
    resolved = config.resolve(discrete=False, online=False)
    spec = NetworkSpec.of(demos.observation_space, demos.action_space, hidden=(8,))
    learner = SoftActorCritic(spec, resolved, None, demos.action_space)
    replay = Replay.of(spec, learner.network.encoder, demos.transitions, chance=Wind())
    batch = replay.sample(0, torch.Generator().manual_seed(1))
    assert batch.second is not None
    assert not torch.equal(batch.successors, batch.second.states)
    assert not torch.equal(batch.terminated, batch.second.terminated)
    own = learner.parts.sample(batch.states, torch.Generator().manual_seed(2))
    critic = AtDraws(learner.parts, own)
    ((steps,),), _ = critic.step_values(
        [batch], batch.states[:0], torch.Generator().manual_seed(3), term="expert", observation_only=False
    )
    both = torch.cat([batch.successors, batch.second.states])
    drawn = learner.parts.sample(both, torch.Generator().manual_seed(3))
    first, second = learner.parts.target_value(both, drawn).chunk(2)
    torch.testing.assert_close(steps.next_value, first * (1 - batch.terminated))
    torch.testing.assert_close(steps.second.next_value, second * (1 - batch.second.terminated))


def test_learning_with_continuous_actions_takes_two_draws():
    config = ip.IQConfig(chi2_square="double", hidden=(8,), batch_size=4, steps=5)
    run = ip.train(windy(), config, simulator=Wind(), progress=False)
    assert np.isfinite(run.history["loss"].values).all()
    other = ip.train(windy(), replace(config, chi2_square="sampled"), progress=False)
    assert run.history["loss"].values[-1] != other.history["loss"].values[-1]


def test_two_draws_need_a_simulator_and_a_chi2_term():
    demos, others = lottery()
    double = replace(CONFIG, chi2_square="double")
    with pytest.raises(
        ValueError, match=r"needs a simulator; the demonstrations name no environment\. Give simulator="
    ):
        ip.train(demos, double, others=others, progress=False)
    pusher = replace(demos, env_id="LunarLander-v3")
    with pytest.raises(ValueError, match=r"needs a simulator\. Use chi2_square='sampled', or give simulator="):
        ip.train(pusher, double, others=others, progress=False)
    for changed in ({"divergence": "kl"}, {"objective": "sqil"}):
        with pytest.raises(ValueError, match=r"chi2_square='double' changes the square in the χ² regulariser"):
            replace(double, **changed).resolve(discrete=True, online=False)
    with pytest.raises(ValueError, match="must be one of"):
        ip.IQConfig(chi2_square="doubled")


@pytest.mark.parametrize("name", ["occupancy", "others"])
def test_occupancies_must_be_distributions(name):
    given = {"occupancy": EXPERT, "others": OTHERS} | {name: 2 * EXPERT}
    with pytest.raises(ValueError, match=f"'{name}' must sum to 1; it sums to 2"):
        solve_exactly(given["occupancy"], LOTTERY, CONFIG, others=given["others"])
