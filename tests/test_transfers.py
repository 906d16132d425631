"""Transfer: exact on grids, where theorems give the answers; by learning elsewhere, with results kept in cells."""

import json
from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest

import irl_probe as ip
from irl_probe.envs import TabularMDP
from irl_probe.learn import CheckpointError
from irl_probe.learn.folder import differences
from irl_probe.metrics import tabular
from irl_probe.retraining.cells import Cell
from irl_probe.rewards import ExactExpectation
from irl_probe.softq import DiscreteQ
from irl_probe.transfers import learned
from irl_probe.transfers.learned import group_of

ALPHA = 0.5
GRIDS = {"grid": ip.envs.gridworld(), "slippery grid": ip.envs.gridworld(slip=0.2), "random reward": None}


def grid(name):
    if GRIDS[name] is not None:
        return GRIDS[name]
    return ip.envs.gridworld(np.random.default_rng(3).normal(size=(4, 4)), slip=0.1, gamma=0.9)


def advantage(mdp, alpha=ALPHA):
    """α log π(a|s) of the soft expert, (S, A): all that its behaviour reveals, without V."""
    q = tabular.soft_q(mdp.reward, mdp.transition, mdp.gamma, alpha)
    return q - tabular.soft_value(q, alpha)[:, None]


def as_reward(table):
    return lambda s, a, t, d: table[s, a]


def exact(mdp, table, changes=None, **settings):
    config = ip.transfers.TransferConfig(temperature=ALPHA, **settings)
    return ip.transfer(as_reward(table), config, env=ip.envs.variants(mdp, changes))["transfer"].to_dataset()


@pytest.mark.parametrize("name", GRIDS)
def test_the_state_only_reward_of_an_expert_is_the_truth_up_to_a_constant(name):
    mdp = grid(name)
    found = tabular.state_only(advantage(mdp), mdp.transition, mdp.gamma)
    assert found.ambiguity == 1
    assert found.residual < 1e-10
    assert np.ptp(found.reward - mdp.reward[:, 0, 0]) < 1e-9


@pytest.mark.parametrize("name", GRIDS)
def test_the_disentangled_reward_has_no_regret_where_dynamics_change_and_the_recovered_one_has(name):
    """The true reward depends on the state alone, and the grid's five actions identify it."""
    mdp = grid(name)
    group = exact(mdp, advantage(mdp), ["slip=0.2", "slip=0.5", "swapped actions"])
    for regret in ("regret_greedy", "regret_soft"):
        np.testing.assert_allclose(group[regret].sel(policy="disentangled"), 0, atol=1e-9)
        np.testing.assert_allclose(group[regret].sel(policy="true reward"), 0, atol=1e-9)
        assert group[regret].sel(policy="recovered", variant="swapped actions") > 0.2
        assert group[regret].sel(policy="recovered", variant="unchanged") < 1e-9
    assert (group["regret_soft"].sel(policy="recovered", variant=["slip 0.2", "slip 0.5"]) > 1e-4).all()


@pytest.mark.parametrize("second", ["slip=0.5", "swapped actions"])
def test_two_environments_experts_identify_a_reward_of_state_and_action(second):
    mdp = ip.envs.gridworld()
    other = ip.envs.variants(mdp, [second])[1].mdp
    truth = np.random.default_rng(0).normal(size=mdp.transition.shape[:2])
    experts = [(tabular.soft_q(truth, m.transition, m.gamma, ALPHA), m.transition, m.gamma) for m in (mdp, other)]
    assert tabular.ambiguity_dimension([(p, gamma) for _, p, gamma in experts]) == 1
    found = tabular.shared_reward(experts, ALPHA)
    assert found.ambiguity == 1
    assert found.residual < 1e-10
    assert np.ptp(found.reward - truth) < 1e-9
    for variant in ip.envs.variants(mdp, ["slip=0.3", "swapped actions"]):
        m = variant.mdp
        assert tabular.regret(truth, found.reward, m.transition, m.gamma, m.initial) < 1e-9
        assert tabular.soft_regret(truth, found.reward, m.transition, m.gamma, m.initial, temperature=ALPHA) < 1e-9


def test_one_environment_twice_identifies_nothing_more_and_says_so():
    mdp = grid("random reward")
    q = tabular.soft_q(mdp.reward, mdp.transition, mdp.gamma, ALPHA)
    found = tabular.shared_reward([(q, mdp.transition, mdp.gamma)] * 2, ALPHA)
    assert found.ambiguity == len(mdp.transition)
    assert found.residual < 1e-10


def test_results_of_transfer_say_whether_the_disentangled_reward_is_identified():
    assert exact(ip.envs.gridworld(), np.zeros((25, 5)), []).attrs["disentangled_ambiguity"] == 1
    ring = np.repeat(np.eye(3)[[1, 2, 0]][:, None], 2, axis=1)
    mdp = TabularMDP(ring, np.ones((3, 2, 3)), 0.9, np.array([1.0, 0, 0]), "ring")
    assert exact(mdp, np.zeros((3, 2)), []).attrs["disentangled_ambiguity"] == 3


def test_where_actions_do_nothing_the_ambiguity_is_the_number_of_states():
    p = np.broadcast_to(np.eye(3)[:, None], (3, 2, 3))
    found = tabular.state_only(np.arange(3.0)[:, None] + np.zeros((3, 2)), p, 0.9)
    assert found.ambiguity == 3


def test_a_reward_of_actions_leaves_a_residual_in_the_state_only_form():
    mdp = ip.envs.gridworld()
    paid = np.zeros((25, 5))
    paid[:, 4] = -1.0  # standing still costs
    q = tabular.soft_q(paid, mdp.transition, mdp.gamma, ALPHA)
    assert tabular.state_only(q, mdp.transition, mdp.gamma).residual > 0.1


def test_two_unconnected_chains_leave_two_free_constants():
    p = np.zeros((4, 2, 4))
    for s in range(4):
        p[s, 0, s] = p[s, 1, s ^ 1] = 1
    assert tabular.state_only(np.zeros((4, 2)), p, 0.9).ambiguity == 2


def test_the_recovered_reward_and_its_shapings_transfer_alike_within_the_unchanged_grid():
    mdp = ip.envs.gridworld()
    potential = np.random.default_rng(1).normal(size=25)
    shaped = advantage(mdp) + mdp.gamma * mdp.transition @ potential - potential[:, None]
    group = exact(mdp, shaped, [])
    np.testing.assert_allclose(group["value"].sel(policy="recovered", bound="estimate"), 1, atol=1e-9)
    assert group.attrs["exact"] == 1


def test_swapped_actions_undo_the_policy_that_is_carried_over():
    mdp = ip.envs.gridworld()
    group = exact(mdp, advantage(mdp), ["swapped actions"])
    value = group["value"].sel(variant="swapped actions", bound="estimate")
    assert value.sel(policy="carried over") < 0.1
    assert value.sel(policy="true reward") == 1
    assert value.sel(policy="random") == 0
    np.testing.assert_array_equal(group["value"].sel(bound="low"), group["value"].sel(bound="high"))


def test_exact_returns_are_those_of_metrics():
    mdp = ip.envs.gridworld(gamma=0.9)
    table = np.random.default_rng(5).normal(size=(25, 5))
    group = exact(mdp, table, ["slip=0.3"])
    m = ip.envs.variants(mdp, ["slip=0.3"])[1].mdp
    expected = tabular.regret(m.reward, table, m.transition, m.gamma, m.initial)
    assert float(group["regret_greedy"].sel(variant="slip 0.3", policy="recovered")) == pytest.approx(expected)
    assert group["return_mean"].attrs["units"] == "true reward, discounted sum"


def test_a_soft_qs_own_reward_carries_over_its_own_policy():
    mdp = ip.envs.gridworld()
    q = tabular.soft_q(mdp.reward, mdp.transition, mdp.gamma, ALPHA)
    soft_q = ip.softq.DiscreteSoftQ(DiscreteQ.from_table(q), gamma=mdp.gamma, temperature=ALPHA)
    rewards = {
        "marginal": ip.recover(soft_q, expectation=ExactExpectation(mdp.transition)),
        "per transition": ip.recover(soft_q),
    }
    group = ip.transfer(rewards, env=ip.envs.variants(mdp))["transfer"].to_dataset()
    assert list(group["policy"].values) == [
        *("random", "carried over", "marginal", "per transition"),
        *("r(s)", "r(s, a)", "r(s, a, s′)", "disentangled", "true reward"),
    ]
    # Lemma 3.1: a Q that is optimal for the truth has the truth as its marginal reward, which transfers.
    np.testing.assert_allclose(group["regret_greedy"].sel(policy="marginal"), 0, atol=1e-9)
    assert group["regret_soft"].sel(policy="carried over", variant="slip 0.5") > 0.01


def test_regrets_of_policies():
    mdp = ip.envs.gridworld(gamma=0.9)
    at = (mdp.transition, mdp.gamma, mdp.initial)
    expert = tabular.soft_policy(tabular.soft_q(mdp.reward, *at[:2], ALPHA), ALPHA)
    uniform = np.full_like(expert, 0.2)
    assert tabular.soft_policy_regret(mdp.reward, expert, *at, temperature=ALPHA) == 0
    assert tabular.soft_policy_regret(mdp.reward, uniform, *at, temperature=ALPHA) == pytest.approx(1)
    assert tabular.soft_regret(mdp.reward, -mdp.reward, *at, temperature=ALPHA) > 1
    assert tabular.soft_regret(mdp.reward, 3 * mdp.reward, *at, temperature=ALPHA) > 0.01
    stay_away = np.eye(5)[np.zeros(25, dtype=int)]
    assert tabular.policy_regret(mdp.reward, stay_away, *at) == pytest.approx(1, abs=0.05)
    assert tabular.policy_regret(np.zeros(25), uniform, *at) == 0
    assert tabular.soft_policy_regret(np.zeros(25), uniform, *at) == 0
    assert tabular.soft_policy_regret(np.zeros(25), expert, *at) == np.inf


def test_soft_q_converges_where_the_value_is_zero():
    """The advantage of a soft expert has V = 0 everywhere, so no residual is small relative to V."""
    mdp = ip.envs.gridworld()
    q = tabular.soft_q(advantage(mdp), mdp.transition, mdp.gamma, ALPHA)
    np.testing.assert_allclose(tabular.soft_value(q, ALPHA), 0, atol=1e-9)


def returns_of(*rows):
    return np.array(rows, dtype=float)[:, :, None] + np.array([-1.0, 0.0, 1.0])


def test_values_are_scaled_to_random_and_to_the_true_reward_in_each_variant():
    variants = [ip.envs.Variant("E"), ip.envs.Variant("E", "mass", 2.0)]
    names = ["random", "recovered", "true reward"]
    group = group_of(
        returns_of([0, 100, 100], [10, 30, 50]), names, variants, ip.transfers.TransferConfig(resamples=500)
    )
    estimate = group["value"].sel(bound="estimate")
    np.testing.assert_allclose(estimate, [[0, 1, 1], [0, 0.5, 1]])
    low, high = (group["value"].sel(bound=b, variant="mass ×2", policy="recovered") for b in ("low", "high"))
    # sd 1 in each of the three policies: standard error √(1 + .25 + .25)/√3/40 = .018, at least Student's 4.3 times
    assert 0.3 < low < 0.5 - 4.3 * 0.018
    assert 0.5 + 4.3 * 0.018 < high < 0.7
    np.testing.assert_array_equal(group["overall"], group["value"].sel(variant="mass ×2"))  # one change, one interval


def test_where_training_on_the_true_reward_fails_there_is_no_value_but_a_reason():
    variants = [ip.envs.Variant("E"), ip.envs.Variant("E", "mass", 2.0)]
    group = group_of(
        returns_of([0, 100, 100], [10, 30, 10]),
        ["random", "recovered", "true reward"],
        variants,
        ip.transfers.TransferConfig(),
    )
    assert np.isnan(group["value"].sel(variant="mass ×2")).all()
    assert "no scale" in str(group["reason"].sel(variant="mass ×2", policy="recovered").values)
    tree = ip.transfer(as_reward(advantage(ip.envs.gridworld())), env="GridWorld")
    tree["transfer"] = group
    found = {v["code"]: v["text"] for v in ip.judgement.warnings_of(tree)}
    assert "On mass ×2 training on the true reward is no better than random" in found["transfer-undefined"]
    assert "overall" not in group


def test_one_seed_has_no_interval():
    group = group_of(
        returns_of([0, 100, 100])[..., :1], ["random", "recovered", "true reward"], [ip.envs.Variant("E")],
        ip.transfers.TransferConfig(seeds=(4,)),
    )  # fmt: skip
    assert np.isnan(group["value"].sel(bound="low")).all()
    assert group["seed"].values.tolist() == [4]


def test_two_seeds_have_no_interval_and_a_reason():
    names, variants = ["random", "recovered", "true reward"], [ip.envs.Variant("E"), ip.envs.Variant("E", "mass", 2.0)]
    config = ip.transfers.TransferConfig(seeds=(0, 1))
    group = group_of(returns_of([0, 100, 100], [10, 30, 50])[..., :2], names, variants, config)
    for name in ("mean", "value", "overall"):
        assert np.isnan(group[name].sel(bound=["low", "high"])).all()
        assert np.isfinite(group[name].sel(bound="estimate")).all()
    assert "There are two seeds" in str(group["reason"].sel(variant="mass ×2", policy="recovered").values)


@pytest.mark.parametrize("changes", [1, 2])
def test_the_spread_of_the_policies_on_the_true_reward_is_in_every_interval(changes):
    """The reward's three policies all reach 200; those on the true reward reach 100, 200 and 300."""
    variants = [ip.envs.Variant("E", "mass", float(2 + i)) for i in range(changes)]
    returns = np.array([[[0.0, 0, 0], [200, 200, 200], [100, 200, 300]]] * changes)
    config = ip.transfers.TransferConfig(seeds=(0, 1, 2))
    group = group_of(returns, ["random", "reward", "true reward"], variants, config)
    for low, high in [*group["value"].sel(policy="reward").values[:, 1:], group["overall"].sel(policy="reward")[1:]]:
        assert low < 0.7
        assert high > 1.3
    np.testing.assert_array_equal(group["overall"].sel(policy="true reward"), 1)  # by definition


@pytest.mark.parametrize(("seeds", "skewed", "least"), [(3, False, 0.93), (5, True, 0.9)])
def test_values_and_overall_cover_the_true_share(seeds, skewed, least):
    """The share is .8 in both variants. A bound fails if the coverage is 3 standard errors too low."""
    rng, names = np.random.default_rng(seeds), ["random", "reward", "true reward"]
    variants = [ip.envs.Variant("E", "mass", float(2 + i)) for i in range(2)]
    config = ip.transfers.TransferConfig(seeds=tuple(range(seeds)), resamples=200)
    means, replications, held = np.array([0.0, 80.0, 100.0])[:, None], 120, []
    for _ in range(replications):
        noise = rng.normal(size=(2, 3, seeds)) if not skewed else rng.exponential(size=(2, 3, seeds)) - 1
        group = group_of(means + 20 * noise, names, variants, config)
        value = group["value"].sel(policy="reward", variant=group["variant"][0]).values
        held.append([low <= 0.8 <= high for _, low, high in (value, group["overall"].sel(policy="reward").values)])
    assert (np.mean(held, axis=0) >= least - 3 * np.sqrt(least * (1 - least) / replications)).all()


def test_the_warnings_begin_with_the_reward_that_does_not_transfer():
    mdp = ip.envs.gridworld()
    tree = ip.transfer(
        as_reward(advantage(mdp)), ip.transfers.TransferConfig(temperature=ALPHA), env=ip.envs.variants(mdp)
    )
    first, *others = ip.judgement.warnings_of(tree)
    assert first["code"] == "transfer"
    assert first["text"].startswith("Reward “recovered” does not transfer to swapped actions (−")
    told = [first["text"], *(v["text"] for v in others)]
    assert any(
        "“r(s)” does not transfer" in text and "In the unchanged environment it fails too" in text for text in told
    )
    assert not any("“disentangled”" in text for text in told)


TINY = ip.RLConfig(steps=40, learning_starts=10, hidden=(8,), batch_size=8)
SMALL = ip.transfers.TransferConfig(
    forms=("r(s)", "disentangled"), learner=TINY, seeds=(0, 1), episodes=2, coverage_episodes=2,
    distil=ip.DistilConfig(steps=20, hidden=(8,)),
)  # fmt: skip


@pytest.fixture
def reward():
    run = ip.train(ip.load_demos("CartPole-v1", episodes=1), ip.IQConfig(steps=60), progress=False)
    return ip.recover(run)


def test_every_policy_is_trained_in_its_variant_once_and_its_cells_are_read_afterwards(reward, tmp_path, monkeypatch):
    variants = ip.envs.variants("CartPole-v1", ["length=2"])
    tree = ip.transfer(reward, SMALL, env=variants, out=tmp_path)
    group = tree["transfer"].to_dataset()
    assert group.sizes == {"variant": 2, "policy": 6, "seed": 2, "bound": 3}
    assert np.isfinite(group["return_mean"]).all()
    again = ip.transfer(reward, SMALL, env=variants, out=tmp_path)
    np.testing.assert_array_equal(again["transfer"]["return_mean"], group["return_mean"])
    cell = tmp_path / "length-2" / "disentangled" / "seed-1" / "cell.json"
    saved = json.loads(cell.read_text())
    assert saved["made_from"]["variant"] == "CartPole-v1[length=2]"
    assert "explained_variance" in saved["result"]
    cell.unlink()  # this one is trained again, with the same result; the others are not
    trained = []
    original = learned.retrain
    monkeypatch.setattr(
        "irl_probe.transfers.learned.retrain", lambda *a, **k: trained.append(k["out"]) or original(*a, **k)
    )
    third = ip.transfer(reward, SMALL, env=variants, out=tmp_path)
    assert trained == [cell.parent / "run"]
    np.testing.assert_array_equal(third["transfer"]["return_mean"], group["return_mean"])
    with pytest.raises(CheckpointError, match="made from something else: episodes was 2, now 3"):
        ip.transfer(reward, ip.transfers.TransferConfig(**{**vars(SMALL), "episodes": 3}), env=variants, out=tmp_path)
    path = ip.results.save_results(tree, tmp_path / "results.nc")
    np.testing.assert_array_equal(ip.results.load_results(path)["transfer"]["return_mean"], group["return_mean"])


def test_a_function_is_a_reward_and_a_policy_may_come_with_it(tmp_path):
    config = ip.transfers.TransferConfig(**{**vars(SMALL), "forms": ("r(s)",), "seeds": (0,)})
    tree = ip.transfer(
        lambda s, a, t, d: np.ones(len(s)),
        config,
        env=ip.envs.variants("CartPole-v1", ["force=2"]),
        policy=lambda o, deterministic=True, rng=None: (o[:, 2] > 0).astype(np.int64),
    )
    returns = tree["transfer"]["return_mean"].sel(seed=0)
    assert returns.sel(policy="carried over", variant="unchanged") > 30  # leaning right, pushed right
    assert list(tree["transfer"]["policy"].values) == ["random", "carried over", "recovered", "r(s)", "true reward"]


def test_cells_of_another_policy_or_of_a_larger_reward_are_not_reused(tmp_path):
    def paid(o, a, o2, d):
        return np.cos(o2[:, 2])

    def stay(observations, deterministic=True, *, rng=None):
        return np.zeros(len(observations), int)

    def go(observations, deterministic=True, *, rng=None):
        return np.ones(len(observations), int)

    variants = ip.envs.variants("CartPole-v1", {"length": [2]})
    learner = ip.RLConfig(steps=20, learning_starts=10, batch_size=8)
    config = ip.transfers.TransferConfig(forms=(), seeds=(0,), episodes=1, learner=learner)
    ip.transfer(paid, config, env=variants, policy=stay, out=tmp_path)
    ip.transfer(paid, config, env=variants, policy=stay, out=tmp_path)
    for reward, policy, what in ((paid, go, "carried"), (lambda *step: 100 * paid(*step), stay, "reward")):
        with pytest.raises(CheckpointError, match=f"made from something else: {what} was"):
            ip.transfer(reward, config, env=variants, policy=policy, out=tmp_path)


def test_cells_of_a_variant_with_another_time_limit_or_other_dynamics_are_not_reused(tmp_path, monkeypatch):
    learner = ip.RLConfig(steps=20, learning_starts=10, batch_size=8)
    config = ip.transfers.TransferConfig(forms=(), seeds=(0,), episodes=1, learner=learner)

    def study(steps, length, config=config):
        def make():
            env = gym.make("CartPole-v1", max_episode_steps=steps)
            env.unwrapped.length = length
            return env

        changed = ip.envs.Variant("CartPole-v1", "my length", 2.0, function=make)
        variants = [ip.envs.Variant("CartPole-v1"), changed]
        return ip.transfer(lambda o, a, o2, d: np.cos(o2[:, 2]), config, env=variants, out=tmp_path)

    study(50, 1.0)
    monkeypatch.setattr("irl_probe.transfers.learned.retrain", None)  # so that nothing can be trained
    study(50, 1.0)
    for steps, length, words in ((60, 1.0, "time limit was 50, now 60"), (50, 3.0, "environment.successors was")):
        with pytest.raises(CheckpointError, match=words):
            study(steps, length)
    with pytest.raises(CheckpointError, match="episodes was 1, now 2"):  # before it trains for the new seed
        study(50, 1.0, replace(config, seeds=(1, 0), episodes=2))


def test_a_file_that_is_not_a_cell_is_refused(tmp_path):
    (tmp_path / "cell.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"must hold a cell's result; it does not"):
        Cell(tmp_path, {}).result(dict)


def test_a_folder_without_a_run_is_removed(tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    assert not Cell(tmp_path, {}).resume()
    assert not run.exists()
    run.mkdir()
    (run / "run.json").write_text("{}")
    assert Cell(tmp_path, {}).resume()


def test_records_are_equal_up_to_rounding():
    record = {"reward": [1.0, 0.0, -3.0], "settings": {"steps": 5}}
    assert differences(record, {"reward": [1.00001, 1e-9, -3.0], "settings": {"steps": 5}}) == []
    assert differences(record, {"reward": [1.001, 0.0, -3.0], "settings": {"steps": 5, "new": 0}}) == [
        "reward was [1.0, 0.0, -3.0], now [1.001, 0.0, -3.0]"
    ]
    assert differences(record, {**record, "settings": {"steps": 6, "new": 1}}) == [
        "settings.new was None, now 1",
        "settings.steps was 5, now 6",
    ]


def test_rewards_may_be_one_for_each_seed():
    rng = np.random.default_rng(0)
    mdp = ip.envs.gridworld(rng.normal(size=(5, 5)))
    rewards = [as_reward(rng.normal(size=(25, 5))) for _ in range(3)]
    group = ip.transfer(rewards, env=ip.envs.variants(mdp))["transfer"].to_dataset()
    assert group["seed"].values.tolist() == [0, 1, 2]
    assert len(np.unique(group["return_mean"].sel(policy="recovered", variant="unchanged"))) == 3
    value = group["value"].sel(policy="recovered", variant="slip 0.2")
    assert value.sel(bound="low") < value.sel(bound="estimate") < value.sel(bound="high")


ONE = as_reward(np.zeros((25, 5)))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ip.transfer(ONE, env=[]), "of one environment, at least one; got those of"),
        (lambda: ip.transfer(ONE, env=ip.envs.variants("GridWorld")[1]), "Give a sequence of variants"),
        (
            lambda: ip.transfer(ONE, env=[*ip.envs.variants("GridWorld"), *ip.envs.variants("CartPole-v1")]),
            "of one environment.*CartPole-v1",
        ),
        (lambda: ip.transfer(ONE, env=[*ip.envs.variants("GridWorld")] * 2), "'unchanged' is there 2 times"),
        (
            lambda: ip.transfer(ONE, env=ip.envs.variants("GridWorld", unchanged=False)),
            "unchanged environment must be among the variants.*got slip 0.2",
        ),
        (
            lambda: ip.transfer({"random": ONE}, env=ip.envs.variants("GridWorld")),
            r"names of their own.*got \['random'\]",
        ),
        (lambda: ip.transfer({}, env=ip.envs.variants("GridWorld")), "names of their own, at least one"),
        (
            lambda: ip.transfer([ONE] * 2, env=ip.envs.variants("GridWorld")),
            "for each of the 3 seeds.*got 2 rewards of",
        ),
        (
            lambda: ip.transfer(ip.recover(table_q()), env=ip.envs.variants("CartPole-v1")),
            r"takes observations of Discrete\(4\), and the observation space is Box",
        ),
        (
            lambda: ip.transfer(lambda s, a, t, d: np.zeros((len(s), 2)), env=ip.envs.variants("GridWorld")),
            "must give one number a transition",
        ),
        (lambda: ip.transfers.TransferConfig(forms=("r(a)",)), "forms must be one of .*got 'r\\(a\\)'"),
        (
            lambda: ip.transfers.TransferConfig(learner=ip.IQConfig()),
            r"learner must be of type RLConfig; got IQConfig\(",
        ),
        (
            lambda: ip.transfers.TransferConfig(true_learner=ip.IQConfig()),
            r"must be of type RLConfig or None; got IQConfig\(",
        ),
        (lambda: ip.transfers.TransferConfig(seeds=(1, 1)), "one or more different whole numbers from 0"),
        (lambda: ip.transfers.TransferConfig(seeds=()), "one or more different whole numbers from 0"),
        (lambda: ip.transfers.TransferConfig(episodes=0), "episodes must be at least 1; got 0"),
        (lambda: ip.transfers.TransferConfig(coverage_episodes=1), "coverage_episodes must be at least 2; got 1"),
        (lambda: ip.transfers.TransferConfig(temperature=0), "temperature must be positive; got 0"),
        (lambda: ip.transfers.TransferConfig(confidence=1.0), "confidence must be between 0 and 1"),
        (lambda: tabular.shared_reward([]), "at least two experts.*got 0"),
    ],
)  # fmt: skip
def test_bad_input_is_refused_before_anything_is_trained(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def table_q():
    return ip.softq.DiscreteSoftQ(DiscreteQ.from_table(np.zeros((4, 5))), gamma=0.9, temperature=1.0)


def test_variants_of_a_users_mdp_are_solved_exactly():
    rng = np.random.default_rng(2)
    p = rng.dirichlet(np.ones(4), size=(4, 3))
    mdp = TabularMDP(p, np.broadcast_to(rng.normal(size=(4, 1, 1)), p.shape), 0.8, np.full(4, 0.25), name="mine")
    group = exact(mdp, advantage(mdp))
    np.testing.assert_allclose(group["regret_greedy"].sel(policy="disentangled"), 0, atol=1e-9)
    assert group["variant"].values.tolist() == ["unchanged", "slip 0.2", "slip 0.5", "swapped actions"]


def test_overall_covers_where_a_seed_moves_all_variants_together():
    # A seed's reward is the same one in every variant. Drawing seeds in each variant apart covered .72 here.
    rng, held = np.random.default_rng(0), []
    variants = [ip.envs.Variant("E", "mass", 1.0 + k) for k in range(1, 6)]
    config = ip.transfers.TransferConfig(seeds=tuple(range(5)), resamples=200)
    for _ in range(60):
        returns = np.zeros((5, 3, 5))
        returns[:, 0], returns[:, 2] = rng.normal(0, 2, (5, 5)), 100 + rng.normal(0, 2, (5, 5))
        returns[:, 1] = 60 + 20 * rng.normal(size=(1, 5))
        group = ip.transfers.group_of(returns, ["random", "reward", "true reward"], variants, config)
        _, low, high = group["overall"].values[1]
        held.append(low <= 0.6 <= high)
    assert np.mean(held) >= 0.9
