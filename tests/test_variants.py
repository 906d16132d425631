"""Changed dynamics: the right quantity changes by the right amount, and the true reward stays the same."""

import mujoco
import numpy as np
import pytest
from rollouts import rollout

import irl_probe as ip
from irl_probe.envs import TabularEnv
from irl_probe.envs.changes import capsule
from irl_probe.envs.point_maze import MazePlanner

EVERY = (
    *("CartPole-v1", "Acrobot-v1", "Pendulum-v1", "MountainCar-v0", "MountainCarContinuous-v0", "LunarLander-v3"),
    *("PointMaze-v0", "Hopper-v5", "Walker2d-v5", "Ant-v5", "Swimmer-v5", "Reacher-v5", "InvertedPendulum-v5"),
)


def after_one_step(variant):
    env = variant.make()
    env.reset(seed=3)
    env.action_space.seed(3)
    for _ in range(3):
        observation = env.step(env.action_space.sample())[0]
    return observation


@pytest.mark.parametrize("env_id", EVERY)
def test_each_variant_has_other_dynamics_and_is_made_again_from_its_id(env_id):
    usual, *others = ip.envs.variants(env_id)
    assert usual.name == "unchanged"
    assert usual.id == env_id
    before = after_one_step(usual)
    for variant in others:
        env = variant.make()
        assert env.spec.id == variant.id
        if variant.parameter not in ("friction", "disabled leg", "moved wall", "damping", "gravity"):  # no effect yet
            assert not np.array_equal(after_one_step(variant), before), variant.name
        np.testing.assert_array_equal(after_one_step(variant), after_one_step(variant))
        assert ip.envs.make_env(variant.id).spec.id == variant.id


@pytest.mark.parametrize("env_id", ["CartPole-v1", "Pendulum-v1", "PointMaze-v0", "Acrobot-v1"])
def test_the_true_reward_of_a_variant_is_that_of_the_environment(env_id):
    usual, *others = ip.envs.variants(env_id)
    for variant in others:
        env = variant.make()
        t = rollout(env, 1, steps=30)
        np.testing.assert_allclose(ip.true_reward(usual.make()).discrepancy(t), 0, atol=1e-5)
        np.testing.assert_allclose(ip.true_reward(env).discrepancy(t), 0, atol=1e-5)


@pytest.mark.parametrize(
    "variant_id", ["HalfCheetah-v5[mass=2]", "PointMaze-v0[moved wall]", "Hopper-v5[leg length=1.2]", "Ant-v5[mass=2]"]
)
def test_simulators_use_the_changed_dynamics(variant_id):
    env = ip.envs.make_env(variant_id)
    env.reset(seed=0)
    if "Maze" in variant_id:
        env.unwrapped.set_state(np.array([0.45, -0.09]), np.array([0.0, 1.0]))  # now there is a wall ahead
        before, action = np.array([[0.45, -0.09, 0.0, 1.0]]), np.array([[0.0, 1.0]], dtype=np.float32)
        expected = env.step(action[0])[0][None]
    else:
        t = rollout(env, 1, steps=2)
        before, action, expected = t.observations[:1], t.actions[:1], t.next_observations[:1]
    step = ip.envs.simulator(env).step(before, action).next_observations
    other = ip.envs.simulator(variant_id.partition("[")[0]).step(before, action).next_observations
    np.testing.assert_allclose(step, expected, atol=1e-6)
    assert np.abs(other - expected).max() > 1e-3


def test_cartpole_also_changes_its_derived_quantities():
    env = ip.envs.make_env("CartPole-v1[mass=2]").unwrapped
    assert env.masspole == pytest.approx(0.2)
    assert env.total_mass == pytest.approx(1.2)
    assert env.polemass_length == pytest.approx(0.1)
    long = ip.envs.make_env("CartPole-v1[length=2]").unwrapped
    assert (long.length, long.polemass_length) == (pytest.approx(1.0), pytest.approx(0.1))
    assert ip.envs.make_env("CartPole-v1").unwrapped.total_mass == pytest.approx(1.1)


def test_twice_the_mass_halves_the_acceleration():
    """A point in the maze without damping: v = F t/m."""
    speeds = []
    for name in ("PointMaze-v0", "PointMaze-v0[mass=2]"):
        env = ip.envs.make_env(name).unwrapped
        env.model.dof_damping[:] = 0
        env.reset(seed=0)
        speeds.append(env.step(np.array([1.0, 0.0]))[0][2])
    assert speeds == pytest.approx([0.05 / 0.2, 0.05 / 0.4])


def test_free_fall_follows_gravity():
    for factor in (0.7, 1.3):
        model = ip.envs.make_env(f"Hopper-v5[gravity={factor}]").unwrapped.model
        assert model.opt.gravity[2] == pytest.approx(-9.81 * factor)


def test_a_disabled_leg_has_no_force_and_the_others_are_unchanged():
    usual, model = (ip.envs.make_env(i).unwrapped.model for i in ("Ant-v5", "Ant-v5[disabled leg=2]"))
    joints = [model.joint(j).name for j in model.actuator_trnid[:, 0]]
    gears = dict(zip(joints, model.actuator_gear[:, 0], strict=True))
    assert gears["hip_2"] == gears["ankle_2"] == 0
    assert {j: g for j, g in gears.items() if "_2" not in j} == {
        j: g for j, g in zip(joints, usual.actuator_gear[:, 0], strict=True) if "_2" not in j
    }


LENGTHS = {
    "Hopper-v5": {"torso length": ["torso_geom"], "thigh length": ["thigh_geom"], "leg length": ["leg_geom"]},
    "Walker2d-v5": {"thigh length": ["thigh_geom", "thigh_left_geom"], "leg length": ["leg_geom", "leg_left_geom"]},
    "Ant-v5": {"leg length": ["left_ankle_geom", "right_ankle_geom", "third_ankle_geom", "fourth_ankle_geom"]},
}
CONSTANTS = (
    *("body_pos", "body_mass", "body_inertia", "body_ipos", "body_iquat", "body_subtreemass", "body_invweight0"),
    *("geom_size", "geom_pos", "geom_rbound", "geom_aabb", "bvh_aabb", "dof_invweight0", "dof_M0", "jnt_pos"),
)


def compiled_longer(env, geoms, factor):
    """The same change, made in the specification of the model before MuJoCo compiles it."""
    spec = mujoco.MjSpec.from_file(env.fullpath)
    for name in geoms:
        geom = spec.geom(name)
        body = geom.parent
        anchor = np.array(body.joints[-1].pos) if body.joints else np.zeros(3)
        if not np.isnan(geom.fromto).any():
            geom.fromto = np.tile(anchor, 2) + factor * (np.array(geom.fromto) - np.tile(anchor, 2))
        else:
            geom.pos = anchor + factor * (np.array(geom.pos) - anchor)
            geom.size = [geom.size[0], factor * geom.size[1], 0]
        for child in body.bodies:
            hang = np.array(child.joints[-1].pos) if child.joints else np.zeros(3)
            child.pos = np.array(child.pos) + (factor - 1) * (np.array(child.pos) + hang - anchor)
    return spec.compile()


@pytest.mark.parametrize(("env_id", "parameter"), [(e, p) for e, ps in LENGTHS.items() for p in ps])
def test_a_longer_limb_is_the_model_that_mujoco_would_compile(env_id, parameter):
    ours = ip.envs.make_env(f"{env_id}[{parameter}=1.3]").unwrapped
    expected = compiled_longer(ip.envs.make_env(env_id).unwrapped, LENGTHS[env_id][parameter], 1.3)
    for name in CONSTANTS:
        np.testing.assert_allclose(getattr(ours.model, name), getattr(expected, name), atol=1e-6, err_msg=name)


def test_a_robot_with_a_longer_limb_starts_at_the_same_height_above_the_ground():
    usual, long = (ip.envs.make_env(i).unwrapped for i in ("Hopper-v5", "Hopper-v5[leg length=1.2]"))
    assert long.init_qpos[1] - usual.init_qpos[1] == pytest.approx(0.1, abs=1e-9)  # a leg of 0.5 m, 20 % longer


def test_capsule_moments_tend_to_those_of_a_sphere_and_of_a_rod():
    volume, across, along = capsule(0.5, 0.0)
    assert volume == pytest.approx(4 / 3 * np.pi * 0.125)
    assert across == pytest.approx(along) == pytest.approx(0.4 * volume * 0.25)
    volume, across, along = capsule(1e-4, 1.0)
    assert across / volume == pytest.approx(4 / 12, rel=1e-3)


def test_slip_mixes_in_the_mean_action():
    mdp = ip.envs.gridworld(gamma=0.9)
    slipped = ip.envs.variants(mdp, {"slip": [0.3]})[1]
    np.testing.assert_allclose(slipped.mdp.transition, ip.envs.gridworld(slip=0.3).transition)
    np.testing.assert_array_equal(slipped.mdp.reward, mdp.reward)
    assert (slipped.name, slipped.id, slipped.mdp.gamma) == ("slip 0.3", "GridWorld[slip=0.3]", 0.9)


def test_swapped_actions_have_the_transitions_of_their_partners_and_their_own_rewards():
    mdp = ip.envs.gridworld()
    swapped = ip.envs.variants(mdp, ["swapped actions"])[1].mdp
    np.testing.assert_array_equal(swapped.transition, mdp.transition[:, [1, 0, 3, 2, 4]])
    np.testing.assert_array_equal(swapped.reward, mdp.reward)


def test_a_variant_of_the_grid_is_a_tabular_environment():
    env = ip.envs.variants("GridWorld", ["slip=0.5"], unchanged=False)[0].make()
    assert isinstance(env, TabularEnv)
    assert env.spec.id == "GridWorld[slip=0.5]"
    same = ip.envs.make_env("GridWorld[slip=0.5]", horizon=7)
    np.testing.assert_array_equal(env.mdp.transition, same.mdp.transition)
    assert same.horizon == 7


def test_a_variant_can_be_made_by_a_function_of_the_user():
    variant = ip.envs.Variant("CartPole-v1", "wind", 3.0, function=lambda: ip.envs.make_env("CartPole-v1"))
    assert (variant.name, variant.make().spec.id) == ("wind ×3", "CartPole-v1")


def test_options_reach_the_variants():
    variant = ip.envs.variants("Ant-v5", ["mass=2"], include_cfrc_ext_in_observation=False)[1]
    assert variant.make().observation_space.shape == (27,)


def test_the_planner_solves_both_mazes_and_its_plan_for_one_fails_in_the_other():
    usual, moved = ip.envs.variants("PointMaze-v0", ["moved wall"])
    plan, new_plan = MazePlanner(usual.make()), MazePlanner(moved.make())
    at_home = ip.evaluate(plan, usual.make, episodes=10).returns.mean()
    assert ip.evaluate(new_plan, moved.make, episodes=10).returns.mean() == pytest.approx(at_home, abs=4)
    assert ip.evaluate(plan, moved.make, episodes=10).returns.max() < at_home - 30


def test_the_maze_has_an_exact_simulator_and_never_terminates():
    env = ip.envs.make_env("PointMaze-v0")
    t = rollout(env, 2, steps=100)
    assert t.truncated[99]
    assert not t.terminated.any()
    source = ip.envs.simulator(env)
    assert source.exact
    assert source.deterministic
    np.testing.assert_allclose(source.step(t.observations, t.actions).next_observations, t.next_observations, atol=1e-9)


@pytest.mark.parametrize(
    ("env", "changes", "message"),
    [
        ("Hopper-v5", ["masss"], r"Hopper-v5 can be changed in mass, .*got 'masss'. Did you mean 'mass'\?"),
        ("Hopper-v5", ["disabled leg"], "can be changed in .*got 'disabled leg'"),
        ("Hopper-v5", {"mass": [0.0]}, "'mass' takes a positive factor, 1 for no change; got 0"),
        ("Hopper-v5", ["gravity=-1"], "'gravity' takes a positive factor.*got -1"),
        ("CartPole-v1", {"length": [float("nan")]}, "'length' takes a positive factor.*got nan"),
        ("CartPole-v1", {"length": [float("inf")]}, "'length' takes a positive factor.*got inf"),
        ("Ant-v5", ["disabled leg=5"], "'disabled leg' takes a whole number from 1 to 4; got 5"),
        ("GridWorld", ["slip=1.5"], "'slip' takes a probability above 0 and at most 1; got 1.5"),
        ("GridWorld", ["swapped actions=2"], "'swapped actions' takes 1, since it is on or absent; got 2"),
        ("GridWorld", ["slipp"], r"got 'slipp'. Did you mean 'slip'\?"),
        ("Hopper-v5", ["mass=two"], "name=factor with a number, as in 'mass=2'; got 'mass=two'"),
        ("Hopper-v5", "mass", "must be a list of names or a mapping to factors; got the string 'mass'"),
        (
            "FrozenLake-v1",
            None,
            "can be changed in tabular MDPs and in these environments: .*FrozenLake-v1 is not one of them",
        ),
        ("Hoper-v5", None, "Did you mean 'Hopper-v5'"),
    ],
)
def test_impossible_variants_are_refused(env, changes, message):
    with pytest.raises(ValueError, match=message):
        ip.envs.variants(env, changes)


@pytest.mark.parametrize(
    ("env_id", "message"),
    [
        ("Hopper-v5[masss=2]", "Did you mean 'mass'"),
        ("Hopper-v5[mass=heavy]", r"must be a number, as in Hopper-v5\[mass=2\]; got 'heavy'"),
        ("FrozenLake-v1[mass=2]", "Dynamics can be changed in"),
    ],
)
def test_ids_of_impossible_variants_are_refused(env_id, message):
    with pytest.raises(ValueError, match=message):
        ip.envs.make_env(env_id)


def test_the_planner_refuses_other_environments():
    with pytest.raises(ValueError, match="PointMaze-v0 only; got CartPoleEnv"):
        MazePlanner(ip.envs.make_env("CartPole-v1"))
