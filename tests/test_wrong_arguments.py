"""A verb that is given an argument of the wrong kind says what it takes and how to make it."""

import gymnasium as gym
import numpy as np
import pytest

import irl_probe as ip
from irl_probe.rewards import RewardError, copy_zoo

DEMOS = ip.load_demos("CartPole-v1", episodes=2)
ENV, STEPS = "CartPole-v1", DEMOS.transitions
SHIPPED = ip.load_reward("CartPole-v1/iq")


def constant(observations, actions, next_observations, terminated):
    return 0.0 * terminated


def test_calls_of_earlier_versions_are_understood_with_a_warning():
    learner = {"steps": 2, "hidden": (4,), "batch_size": 4, "learning_starts": 1}
    with pytest.warns(DeprecationWarning, match="train takes env= by name"):
        assert ip.train(DEMOS, ip.IQConfig(**learner), ENV, progress=False).env_id == ENV
    with pytest.warns(DeprecationWarning, match=r"IQConfig\(objective='bellman', …\) is RLConfig"):
        config = ip.IQConfig(objective="bellman", **learner)
    assert config == ip.RLConfig(**learner)
    with pytest.warns(DeprecationWarning, match="retrain takes env= by name"):
        assert ip.retrain(constant, ENV, ip.RetrainConfig(config), progress=False).env_id == ENV
    with pytest.warns(DeprecationWarning, match="Interaction is in irl_probe.learn.replay"):
        from irl_probe.learn.interaction import Interaction
    assert Interaction is ip.learn.replay.Interaction
    with pytest.raises(ImportError, match="Interactions"):
        from irl_probe.learn.interaction import Interactions  # noqa: F401


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ip.train(ENV), "type Demonstrations; got 'CartPole-v1'.*load_demos"),
        (
            lambda: ip.train(DEMOS, {"steps": 3}),
            r"type IQConfig; got \{'steps': 3\}. Write irl_probe.train\(.*irl_probe.IQConfig\(",
        ),
        (lambda: ip.train(DEMOS, env=3), "Gymnasium id or a gymnasium.Env; got 3"),
        (lambda: ip.load_demos(ENV, env_id=3), "'env_id' must be a string.* got 3"),
        (lambda: ip.load_demos(3), "named by a string or a path; got int"),
        (lambda: ip.learn.train_on_reward(ENV, 3), "type RLConfig; got 3"),
        (lambda: ip.evaluate(DEMOS, ENV), "a function of observations; got .*run.policy"),
        (
            lambda: ip.retrain(constant, ip.RLConfig(), env=ENV),
            r"type RetrainConfig; .*RetrainConfig\(RLConfig\(steps=10_000\)\)",
        ),
        (
            lambda: ip.retrain(constant, ENV),
            r"RetrainConfig; got 'CartPole-v1'\. Write .*retrain\(reward, .*, env='CartPole",
        ),
        (
            lambda: ip.retrain(constant),
            r"missing a required argument: 'env'\. Write .*retrain\(reward, .*, env='CartPole",
        ),
        (lambda: ip.compare({"r": constant}), r"argument: 'transitions'\. Write compare\(rewards, .*, transitions="),
        (lambda: ip.retrain(constant, env=ENV, epochs=3), r"unexpected keyword argument 'epochs'\. Write .*retrain\("),
        (lambda: ip.probe(None), "environment of a probe must be of type str; got None. Write its id"),
        (lambda: ip.train(DEMOS, ENV), r"IQConfig; got 'CartPole-v1'\. Write .*train\(demos, .*, env='CartPole-v1'\)"),
        (
            lambda: ip.retraining.retrain_study({}, ENV),
            r"StudyConfig; got 'CartPole-v1'\. Write retrain_study\(rewards, .*, env='Cart",
        ),
        (lambda: ip.retrain("CartPole-v1/iq", env=ENV), "must be a function .*got 'CartPole-v1/iq'.*load_reward"),
        (lambda: ip.probe(ENV, ip.IQConfig()), r"type ProbeConfig; .*ProbeConfig\(learner=config\)"),
        (lambda: ip.compare({"a": constant}, transitions=STEPS, config={}), r"CompareConfig; got \{\}"),
        (lambda: ip.distil(constant, {}, transitions=STEPS), "type DistilConfig"),
        (lambda: ip.distil(constant, STEPS), r"type DistilConfig; .*distil\(reward, .*transitions=steps\)"),
        (
            lambda: ip.distil(constant, STEPS, transitions=STEPS),
            r"type DistilConfig; .*distil\(reward, .*transitions=steps\)",
        ),
        (lambda: ip.distil(constant, transitions=DEMOS), "For demonstrations give demos.transitions"),
        (lambda: ip.rewards.relabel(DEMOS, constant), "For demonstrations give demos.transitions"),
        (
            lambda: ip.transfer(constant, ENV),
            r"TransferConfig; got 'CartPole-v1'\. Write .*transfer\(reward, .*, env='CartPole",
        ),
        (lambda: ip.transfer(constant, env=3), "or a function that makes it; got 3. Give one, such as"),
        (lambda: ip.transfer(constant, env=[3]), "Each variant must be a Variant of irl_probe.envs; got 3"),
        (lambda: ip.envs.variants(lambda: 3), "must return a gymnasium.Env.*returned 3. Give lambda"),
        (lambda: ip.envs.variants(ip.envs.make_env(ENV), mass=2), "Options are for an environment's id; got mass"),
        (lambda: ip.retraining.retrain_study([constant], env=ENV), "type Mapping; .*Name each"),
        (lambda: ip.save_reward(constant, "nowhere"), "Only what recover or distil gives can be saved"),
        (lambda: ip.save_reward(DEMOS, "nowhere"), "can be saved; got Demonstrations. Distil"),
        (lambda: ip.load_reward(None), "A reward to load is a folder or the id of a shipped one; got NoneType"),
        (lambda: ip.coverages(ENV, episodes=0), "episodes must be a whole number, at least 1; got 0"),
        (lambda: ip.save_reward(SHIPPED, "nowhere", figures=[1, 2]), r"type Mapping; got \[1, 2\]. Name each"),
        (lambda: ip.zoo.show_zoo(5), r"id of a shipped reward must be of type str; got 5. irl_probe.zoo.list_zoo\(\)"),
        (lambda: copy_zoo(5, "nowhere"), "id of a shipped reward must be of type str; got 5"),
        (lambda: ip.rewards.check_reward_model(constant, ENV, steps=0), "steps .* whole number, at least 1; got 0"),
        (
            lambda: ip.rewards.check_reward_model(constant, 3),
            "type Env; got 3. Give one, or an id such as 'CartPole-v1'",
        ),
        (lambda: ip.rewards.check_reward_model("CartPole-v1/iq", ENV), "must be a function .*got 'CartPole-v1/iq'"),
        (
            lambda: ip.recover(ip.train(DEMOS, ip.IQConfig(steps=1)), expectation=ip.envs.simulator(ENV)),
            r"an expectation over s′ as an object; got <.*EnvSimulator.*SimulatedExpectation.of\(env\)",
        ),
        (lambda: ip.retrain(constant, env=None), "type Env; got None. Give one, or an id"),
        (lambda: ip.transfer(None, env=ENV), "must be the reward itself; got None"),
        (lambda: ip.coverages(ENV, demos=ENV), "type Demonstrations; got 'CartPole-v1'.*load_demos"),
        (lambda: ip.coverages(ENV, demos=STEPS), "type Demonstrations; got .*load_demos"),
        (lambda: ip.compare({"a": constant}, transitions=STEPS, dynamics=ENV), "simulator.*got 'CartPole-v1'"),
        (
            lambda: ip.train(DEMOS, ip.IQConfig(chi2_square="double"), simulator=ENV),
            r"method step.*got 'CartPole-v1'. Make one with irl_probe.envs.simulator\(env\)",
        ),
        (lambda: ip.record_demos(lambda o: 0, "Cartpole-v1", 1), "Did you mean 'CartPole-v1'|CartPole-v1"),
        (lambda: ip.Demonstrations.from_minari(None), "takes a minari.MinariDataset; got NoneType"),
        (
            lambda: ip.Demonstrations.from_arrays([np.zeros((2, 1))], [np.zeros(2, int)], action_space=2),
            "'action_space' must be a space of gymnasium.spaces; got 2",
        ),
        (lambda: ip.save_demos(STEPS, "nowhere.npz"), "type Demonstrations; got .*load_demos or record_demos"),
    ],
)
def test_the_wrong_kind_of_argument_is_named_with_the_remedy(call, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises((TypeError, ValueError), match=message):
        call()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("name", "value"), [("episodes", 0), ("episodes", 1.5), ("seed", -1)])
def test_an_evaluation_refuses_invalid_counts(name, value):
    with pytest.raises(ValueError, match=f"{name} of an evaluation must be a whole number, at least .; got {value}"):
        ip.evaluate(ip.learn.random_policy(ip.envs.make_env(ENV).action_space), ENV, **{name: value})


@pytest.fixture(scope="module")
def run():
    return ip.train(DEMOS, ip.IQConfig(steps=5), progress=False)


def test_a_run_refuses_observations_that_are_not_finite(run):
    bad = np.full((1, 4), np.nan)
    for ask in (run.policy, run.value, lambda o: run.q(o, np.array([0]))):
        with pytest.raises(ValueError, match=r"must be finite; got array\(\[\[nan"):
            ask(bad)


@pytest.mark.parametrize("actions", [[0, 5], [0, -1], [0.5, 1]])
def test_a_run_refuses_actions_that_the_environment_does_not_have(run, actions):
    with pytest.raises(ValueError, match=r"actions of Discrete\(2\) are counted from 0 to 1; got"):
        run.q(np.zeros((2, 4)), np.array(actions))


def test_a_reward_wrapper_refuses_a_value_that_is_not_a_reward():
    with pytest.raises(RewardError, match="A reward must be a function"):
        ip.RewardWrapper(ip.envs.make_env(ENV), 3)


def test_an_environment_that_has_no_name_is_refused():
    with pytest.raises(TypeError, match=r"name of an environment must be of type str; got None.*'CartPole-v1'"):
        ip.envs.make_env(None)


def test_a_policy_that_gives_no_number_or_the_tuple_of_predict_is_refused():
    with pytest.raises(ValueError, match=r"must lie in Box.*got \[nan\]"):
        ip.evaluate(lambda o: np.full((len(o), 1), np.nan), "Pendulum-v1", episodes=1)
    with pytest.raises((TypeError, ValueError), match=r"returned \(actions, None\).*Give the model itself"):
        ip.evaluate(lambda o: (np.zeros(len(o), int), None), ENV, episodes=1)


@pytest.mark.parametrize("change", ["time limit", "gravity"])
def test_coverages_leave_out_bundled_demonstrations_of_another_environment(change):
    env = gym.make(ENV, max_episode_steps=9 if change == "time limit" else None)
    if change == "gravity":
        env.unwrapped.gravity = 30.0
    with pytest.warns(UserWarning, match="bundled demonstrations are of CartPole-v1 as its id makes it"):
        found = ip.coverages(env, episodes=2)
    assert list(found) == ["random"]
