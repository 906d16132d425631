"""The order of policies: discounted returns that shaping cannot change, ties, and intervals that cover."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from gymnasium import spaces
from rollouts import rollout
from scipy import stats

from irl_probe.comparison import CompareConfig, compare
from irl_probe.envs import make_env, true_reward
from irl_probe.metrics import (
    accelerated_interval,
    discounted_returns,
    jackknife_counts,
    percentile_interval,
    ranking_agreement,
    resample_counts,
)
from irl_probe.rewards import load_reward, recover
from irl_probe.softq import NetworkSpec
from irl_probe.transitions import Transitions

QUICK = CompareConfig(resamples=50)
GAMMA = 0.99  # the default for functions


@cache
def cartpole() -> dict[str, Transitions]:
    """Four policies from the same start states: three that fall, and one that balances until a limit of 150 steps."""
    env = make_env("CartPole-v1")
    policies = {
        "right": lambda o: 1,
        "angle": lambda o: int(o[2] > 0),
        "angle, late": lambda o: int(o[2] + 0.1 * o[3] > 0),
        "balance": lambda o: int(o[2] + 0.3 * o[3] + 0.05 * o[0] + 0.1 * o[1] > 0),
    }
    return {name: rollout(env, 6, steps=150, policy=policy) for name, policy in policies.items()}


@cache
def pendulum() -> dict[str, Transitions]:
    """Five policies from the same start states; a limit of 60 steps cuts all episodes off, where γᵀ = .55."""
    env = make_env("Pendulum-v1")

    def steer(gain):
        return lambda o: np.array([np.clip(-gain * o[2], -2, 2)], dtype=np.float32)

    return {f"gain {gain}": rollout(env, 5, steps=60, policy=steer(gain)) for gain in (-1.0, 0.0, 0.5, 1.0, 2.0)}


def chain(advance: float, *, limit: int = 60, episodes: int = 60, ends: bool = True) -> Transitions:
    """States 0 to 5; a policy that steps up with probability `advance`, else down. The MDP ends in 5, if it ends."""
    rng, rows = np.random.default_rng(int(100 * advance)), []
    for episode in range(episodes):
        state = 0
        for step in range(1, limit + 1):
            action = int(rng.random() < advance)
            after = min(state + 1, 5) if action else max(state - 1, 0)
            over = ends and after == 5
            rows.append((state, action, after, over, step == limit and not over, episode, -1.0 + 3.0 * (after == 5)))
            state = after
            if over:
                break
    return Transitions(*(np.array(column) for column in zip(*rows, strict=True)))


@cache
def tabular(ends: bool = True) -> dict[str, Transitions]:
    return {f"advance {p}": chain(p, ends=ends) for p in (0.4, 0.55, 0.7, 0.9)}


LADDERS = {
    "CartPole": (cartpole, lambda: true_reward("CartPole-v1")),
    "Pendulum": (pendulum, lambda: true_reward("Pendulum-v1")),
    "tabular, ends": (tabular, lambda: lambda s, a, t, d: -1.0 + 3.0 * (t == 5)),
    "tabular, no end": (lambda: tabular(False), lambda: lambda s, a, t, d: -1.0 + 3.0 * (t == 5)),
}


def potential(states, size):
    """Some Φ of an observation; its standard deviation is about `size`."""
    rows = np.asarray(states, dtype=np.float64).reshape(len(states), -1)
    weights = np.random.default_rng(5).normal(size=(rows.shape[1], 8))
    return size * np.tanh(rows @ weights + 0.5).sum(axis=1)


def shaped(reward, size, gamma=GAMMA):
    def with_shaping(s, a, t, d):
        return reward(s, a, t, d) + gamma * np.where(d, 0, potential(t, size)) - potential(s, size)

    return with_shaping


def order(rewards, ladder, **options):
    first = next(iter(ladder.values()))
    group = compare(rewards, QUICK, transitions=first.episodes(1), ladder=ladder, **options)["ranking"].to_dataset()
    return group, group["value"].sel(bound="estimate"), group["undiscounted_value"].sel(bound="estimate")


# Shaping changes no order


@pytest.mark.parametrize("times", [1, 10, 100])
@pytest.mark.parametrize("problem", LADDERS)
def test_shaping_shifts_the_mean_of_every_policy_alike(problem, times):
    ladder, truth = (make() for make in LADDERS[problem])
    scale = np.concatenate([steps.rewards for steps in ladder.values()]).std() or 1.0
    group, tau, _ = order({"true": truth, "shaped": shaped(truth, times * scale)}, ladder)
    assert (tau == 1).all()
    assert group.attrs["paired"] == 1
    shift = (group["recovered"].sel(reward="shaped") - group["recovered"].sel(reward="true")).values
    first = next(iter(ladder.values()))
    np.testing.assert_allclose(shift, -potential(first.observations[first.starts], times * scale).mean(), rtol=1e-9)
    np.testing.assert_array_equal(*(group["value"].sel(reward=name) for name in ("true", "shaped")))  # and intervals


@pytest.mark.parametrize("problem", ["CartPole", "Pendulum", "tabular, ends"])
def test_shaping_changes_the_undiscounted_order(problem):
    ladder, truth = (make() for make in LADDERS[problem])
    scale = np.concatenate([steps.rewards for steps in ladder.values()]).std() or 1.0
    _, tau, undiscounted = order({"shaped": shaped(truth, -100 * scale)}, ladder)
    assert tau == 1
    assert undiscounted < 1


class TableQ:
    """A soft Q-function on the chain."""

    gamma, temperature, modules = 0.9, 1.0, {}
    spec = NetworkSpec.of(spaces.Discrete(6), spaces.Discrete(2))

    def __init__(self, table):
        self.table = table

    def q(self, observations, actions):
        return self.table[observations, actions]

    def value(self, observations):
        return np.log(np.exp(self.table).sum(axis=1))[observations]

    def policy(self, observations, deterministic=True, *, rng=None):
        return self.table[observations].argmax(axis=1)


@pytest.mark.parametrize("ends", [True, False])
def test_a_recovered_reward_is_ordered_by_its_log_policy_whatever_its_tail_and_shaping(ends):
    """With the tail, Σ γᵗ(Q − γV(s′)) is V(s₀) + Σ γᵗ(Q − V): neither V_abs nor a potential in Q is left."""
    ladder = tabular(ends)
    table = np.random.default_rng(3).normal(size=(6, 2)) + np.array([0.0, 1.0])
    wide = table - potential(np.arange(6), 100.0)[:, None]
    rewards = {
        "zero": recover(TableQ(table)),
        "absorbing": recover(TableQ(table), terminal=500.0),
        "shaped": recover(TableQ(wide), terminal=-500.0),
    }
    group, tau, undiscounted = order(rewards, ladder)
    assert (tau == tau[0]).all()
    assert (group["gamma"] == 0.9).all()
    advantage = TableQ(table).q(*np.indices((6, 2))) - TableQ(table).value(np.arange(6))[:, None]
    for name, start in (("zero", 0), ("absorbing", 0), ("shaped", -potential(np.arange(1), 100.0)[0])):
        for policy, steps in ladder.items():
            found = float(group["recovered"].sel(reward=name, policy=policy))
            ended = steps.terminated[steps.starts + steps.lengths - 1]
            log_policy = advantage[steps.observations, steps.actions]
            wanted = discounted_returns(log_policy, steps.lengths, 0.9, terminated=ended).mean()
            assert found == pytest.approx(wanted + np.log(np.exp(table[0]).sum()) + start, abs=1e-8)
    if ends:
        assert (undiscounted.sel(reward=["absorbing", "shaped"]) < 1).any()


def test_a_shipped_reward_pays_its_tail_at_the_end_and_the_same_function_without_it_does_not():
    reward, ladder = load_reward("CartPole-v1/iq"), cartpole()
    assert reward.terminal == "absorbing"

    def with_tail(s, a, t, d):
        return reward(s, a, t, d) + reward.tail * d

    rewards = {"model": reward, "function": with_tail, "shaped": shaped(with_tail, 100.0)}
    group, tau, _ = order(rewards, ladder)
    assert (tau == tau[0]).all()
    means = group["recovered"]
    np.testing.assert_allclose(means.sel(reward="function"), means.sel(reward="model"), atol=1e-4)  # paired starts
    bare, *_ = order({"bare": reward.__call__}, ladder)
    assert np.ptp((bare["recovered"][0] - means.sel(reward="model")).values) > 1


def test_unpaired_start_states_do_not_touch_a_reward_that_knows_its_value():
    ladder = {name: steps.episodes(range(k, k + 3)) for k, (name, steps) in enumerate(cartpole().items())}
    reward = load_reward("CartPole-v1/iq")
    group, *_ = order({"model": reward}, ladder)
    assert group.attrs["paired"] == 0
    starts = np.concatenate([reward.v(steps.observations[steps.starts]) for steps in ladder.values()])
    for policy, steps in ladder.items():
        advantage = reward.q(steps.observations, steps.actions) - reward.v(steps.observations)
        ended = steps.terminated[steps.starts + steps.lengths - 1]
        wanted = discounted_returns(advantage, steps.lengths, reward.gamma, terminated=ended).mean() + starts.mean()
        assert float(group["recovered"].sel(reward="model", policy=policy)) == pytest.approx(wanted, abs=1e-4)


def test_a_constant_is_the_task_where_episodes_end_and_nothing_where_they_do_not():
    """−100 at the fall is CartPole's +1 a step, shaped by Φ = 100; R − 2 pays −1 a step."""
    rewards = {"fall": lambda s, a, t, d: -100.0 * d, "minus 2": lambda s, a, t, d: -np.ones(len(s))}
    group, tau, undiscounted = order(rewards, cartpole(), reference=true_reward("CartPole-v1"))
    assert tau.values.tolist() == [1, -1]
    assert group["constant"].sel(bound="estimate").values.tolist() == [1, 1]
    assert undiscounted.sel(reward="fall") < 1  # of the three policies that fall, each sum is −100
    truth = true_reward("Pendulum-v1")
    _, tau, _ = order({"minus 2": lambda s, a, t, d: truth(s, a, t, d) - 2}, pendulum())
    assert tau == 1


# Returns


def test_a_return_is_discounted_has_its_tail_and_goes_on_after_a_time_limit():
    found = discounted_returns([1, 2, 3, 4, 5], [3, 2], 0.5, terminated=[True, False], tail=8)
    np.testing.assert_allclose(found, [1 + 1 + (3 + 8) / 4, (4 + 5 / 2) / (1 - 1 / 4)])
    closed = discounted_returns([1, 2, 3, 4, 5], [3, 2], 0.5, terminated=[True, False], closed=[100, 0])
    np.testing.assert_allclose(closed, [1 + 1 + 3 / 4, 4 / (1 - 1 / 4)])
    np.testing.assert_allclose(discounted_returns([1, 2, 3], [2, 1], 1.0, terminated=[False, True]), [3, 3])
    forever = discounted_returns(np.ones(7), [7], 0.99, terminated=[False])
    assert forever == pytest.approx(100)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gamma": 1.5}, r"γ must lie in \[0, 1\]; got 1.5"),
        ({"lengths": [2, 2]}, "sum to the 3 steps"),
        ({"terminated": [True]}, "'terminated' must be one mark an episode"),
        ({"closed": [1.0]}, "'closed' must be one reward an episode"),
    ],
)
def test_returns_that_do_not_fit_are_refused(options, message):
    given = {"lengths": [2, 1], "gamma": 0.9, "terminated": [True, False]} | options
    with pytest.raises(ValueError, match=message):
        discounted_returns([1, 2, 3], given.pop("lengths"), given.pop("gamma"), **given)


def test_gamma_is_the_rewards_own_then_the_given_then_the_shared_one():
    ladder, truth = tabular(), LADDERS["tabular, ends"][1]()
    own = recover(TableQ(np.zeros((6, 2))))

    def gammas(rewards, config=QUICK):
        group = compare(rewards, config, transitions=ladder["advance 0.4"].episodes(1), ladder=ladder)[
            "ranking"
        ].to_dataset()
        return group["gamma"].values.tolist()

    assert gammas({"function": truth}) == [0.99]
    assert gammas({"own": own, "function": truth}) == [0.9, 0.9]
    assert gammas({"own": own, "function": truth}, CompareConfig(resamples=5, gamma=0.5)) == [0.9, 0.5]
    with pytest.raises(ValueError, match=r"gamma must lie in \[0, 1\), such as 0.99; got 1"):
        CompareConfig(gamma=1)


def test_the_results_say_how_much_discount_a_time_limit_left():
    group, *_ = order({"true": true_reward("Pendulum-v1")}, pendulum())
    np.testing.assert_allclose(group["cut"], 0.99**60)
    assert "repeated for ever" in group.attrs["time_limit"]
    ends, *_ = order({"true": true_reward("CartPole-v1")}, cartpole())
    assert ends["cut"].sel(policy="right").item() == 0
    assert ends["cut"].sel(policy="balance").item() == pytest.approx(0.99**150)


# Kendall's τ_b


def ladder(means, episodes=30, noise=0.1, seed=0):
    rng = np.random.default_rng(seed)
    return [m + noise * rng.normal(size=episodes) for m in means]


def test_ranking_is_kendalls_tau_of_the_mean_returns():
    true, recovered = [0, 1, 2, 3, 4], [0, 2, 1, 3, 9]
    found = ranking_agreement(ladder(true), ladder(recovered, seed=1))
    assert found.value == pytest.approx(stats.kendalltau(true, recovered).statistic)
    assert found.low <= found.value <= found.high
    assert ranking_agreement(ladder(true), ladder([-m for m in true])).value == pytest.approx(-1)


def test_policies_that_the_data_cannot_rank_widen_the_interval():
    clear = ranking_agreement(ladder([0, 1, 2, 3]), ladder([0, 1, 2, 3], seed=1))
    vague = ranking_agreement(ladder([0, 1, 2, 3]), ladder([0, 1, 2, 3], seed=1, noise=10.0))
    assert clear.low == clear.high == 1
    assert vague.high - vague.low > 0.5


def test_one_episode_for_each_policy_gives_a_ranking_without_an_interval():
    found = ranking_agreement([[0], [1], [2]], [[0], [2], [1]])
    assert found.value == pytest.approx(1 / 3)
    assert np.isnan(found.low)
    assert "one episode" in found.reason


def test_a_ladder_of_one_or_of_ties_is_undefined_with_a_reason():
    assert "one policy" in ranking_agreement([[1.0, 2.0]], [[1.0, 3.0]]).reason
    tied = ranking_agreement(ladder([0, 1]), [np.ones(30), np.ones(30)])
    assert np.isnan(tied.value)
    assert "same mean return" in tied.reason


def test_ladders_must_correspond():
    with pytest.raises(ValueError, match="got 2 policies for the true reward and 1"):
        ranking_agreement(ladder([0, 1]), ladder([0]))
    with pytest.raises(ValueError, match=r"policy 1 has shapes \(2,\) and \(3,\)"):
        ranking_agreement([[0, 1], [1, 2]], [[0, 1], [1, 2, 3]])
    with pytest.raises(ValueError, match=r"'recovered\[0\]' must be finite"):
        ranking_agreement([[0, 1], [1, 2]], [[0, np.inf], [1, 2]])


def test_policies_that_differ_by_less_than_a_standard_error_are_ties():
    spread = np.array([-1.0, 1.0, -1.0, 1.0])  # standard error of a difference: sqrt(2 · (4/3)/4) = .816
    true = [0 + spread, 0.8 + spread, 5 + spread]
    fixed = [[k] * 4 for k in (0, -1, 3)]
    assert ranking_agreement(true, fixed).value == pytest.approx(2 / np.sqrt(2 * 3))  # Kendall's τ_b with one tie
    assert ranking_agreement(true, true).value == 1
    assert ranking_agreement([true[0], 0.83 + spread, true[2]], fixed).value == pytest.approx(1 / 3)
    paired = ranking_agreement(true, fixed, paired=True)  # their differences are always .8: the order is known
    assert paired.value == paired.low == paired.high == pytest.approx(1 / 3)


def test_pairs_whose_order_is_not_known_leave_the_figure_open():
    rng = np.random.default_rng(0)
    true = [mean + rng.normal(size=10) for mean in (0, 0.5, 20)]
    other = [mean + rng.normal(size=10) for mean in (0, 3, 20)]
    found = ranking_agreement(true, other)
    assert (found.low, found.high) == (pytest.approx(1 / 3), 1)
    itself = ranking_agreement(true, true)  # whatever the order is, a reward agrees with itself
    assert (itself.low, itself.high) == (1, 1)


def test_paired_policies_must_have_as_many_episodes():
    with pytest.raises(ValueError, match=r"same number of episodes; got \[2, 3\]. Pass paired=False"):
        ranking_agreement([[0, 1], [1, 2, 3]], [[0, 1], [1, 2, 3]], paired=True)


def synthetic(rng, policies, episodes, gap, order, skewed):
    """True and recovered returns of policies whose means are `gap` apart, and the τ_b of these means."""
    noise = rng.normal(size=(policies, episodes, 2))
    noise[..., 1] = 0.5 * noise[..., 0] + np.sqrt(0.75) * noise[..., 1]
    if skewed:
        noise = (np.exp(noise) - np.exp(0.5)) / 2.16
    true, recovered = np.arange(policies) * gap, np.asarray(order) * gap
    tau = stats.kendalltau(true, recovered).statistic
    return list(true[:, None] + noise[..., 0]), list(recovered[:, None] + noise[..., 1]), tau


def bootstrapped(true, recovered, rng):
    """The percentile and the BCa interval of τ of the resampled means."""
    count = len(true[0])

    def tau(counts):
        signs = []
        for side in (true, recovered):
            means = np.stack([c @ x for c, x in zip(counts, side, strict=True)], axis=1)
            signs.append(np.sign(means[:, :, None] - means[:, None, :]))
        return signs[0].reshape(len(means), 1, -1) @ signs[1].reshape(len(means), -1, 1)

    pairs = len(true) * (len(true) - 1)
    drawn = tau([resample_counts(count, 100, rng) for _ in true])[:, 0, 0] / pairs
    left = [
        tau([jackknife_counts(count) if p == q else np.ones((count, count)) for q in range(len(true))])[:, 0, 0] / pairs
        for p in range(len(true))
    ]
    return percentile_interval(drawn, 0.95), accelerated_interval(drawn, left, 0.95, groups=count)


@pytest.mark.parametrize("skewed", [False, True])
@pytest.mark.parametrize(
    ("policies", "episodes", "gap", "order"),
    [(3, 3, 0.3, (0, 1, 2)), (5, 5, 0.3, (1, 0, 2, 3, 4)), (7, 5, 0.3, range(7)), (7, 10, 1.0, (3, 0, 6, 2, 1, 5, 4))],
)
def test_the_interval_covers_the_agreement_of_the_means(policies, episodes, gap, order, skewed):
    rng = np.random.default_rng(0)
    missed, count = 0, 60
    for _ in range(count):
        true, recovered, tau = synthetic(rng, policies, episodes, gap, order, skewed)
        found = ranking_agreement(true, recovered, resamples=100, seed=rng)
        missed += not (np.isnan(found.value) or found.low - 1e-9 <= tau <= found.high + 1e-9)
    assert missed <= 0.05 * count


def test_percentile_and_bca_intervals_of_the_agreement_do_not_cover_close_policies():
    """Why the interval is another: resampling adds noise to means that are noisy already, and noise lowers τ."""
    rng = np.random.default_rng(0)
    covered = np.zeros(2)
    for _ in range(60):
        true, recovered, tau = synthetic(rng, 7, 5, 0.3, range(7), False)
        covered += [e.low - 1e-9 <= tau <= e.high + 1e-9 for e in bootstrapped(true, recovered, rng)]
    assert (covered / 60 < 0.75).all()


def test_clear_ladders_have_narrow_intervals():
    rng = np.random.default_rng(0)
    true, recovered, tau = synthetic(rng, 5, 20, 3.0, (1, 0, 2, 3, 4), False)
    found = ranking_agreement(true, recovered)
    assert found.low == found.value == found.high == pytest.approx(tau)
