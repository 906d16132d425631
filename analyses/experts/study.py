"""Make the bundled demonstrations: train an expert on the true reward, record it, write its card.

python analyses/experts/study.py [ENV ...]   resumes interrupted runs

Each environment takes 2 to 10 minutes; Hopper, HalfCheetah and Ant take up to an hour of one core.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path

import gymnasium as gym
import numpy as np

import irl_probe as ip

ROOT = Path(__file__).parents[2]
DATA = ROOT / "irl_probe" / "demos" / "data"
RUNS = ROOT / "runs" / "experts"
SHARED = ip.RLConfig(  # the default settings when these experts were trained; Pendulum also had Huber's loss
    hidden=(64, 64),
    layer_norm=False,
    weight_decay=0.0,
    batch_size=64,
    update_every=1,
    policy_average=0.0,
)


@dataclass(frozen=True)
class Expert:
    """How an expert learns, and which of its episodes become demonstrations.

    Attributes:
        config: of the learner.
        episodes: the number of demonstrations.
        scale: multiplies the true reward during learning; its optimal policies at α are those of the true one at
            α/scale.
        least_return: only episodes with at least this true return become demonstrations.
    """

    config: ip.RLConfig
    episodes: int = 20
    scale: float = 1.0
    least_return: float = -math.inf


SMALL = replace(SHARED, learning_rate=1e-3, temperature=0.1, target_rate=0.01)
LOCOMOTION = ip.RLConfig(
    steps=300_000,
    batch_size=128,
    temperature=0.1,
    entropy_target=-1.0,
    policy_average=1e-3,
    checkpoint_every=5000,
    evaluate_every=10_000,
)

EXPERTS = {
    "CartPole-v1": Expert(replace(SMALL, steps=40_000)),
    "Acrobot-v1": Expert(replace(SMALL, steps=60_000)),
    "LunarLander-v3": Expert(
        replace(
            SHARED,
            steps=300_000,
            hidden=(128, 128),
            learning_rate=1e-3,
            temperature=0.01,
            target_rate=0.005,
            learning_starts=2000,
            epsilon=0.02,
        ),
        scale=0.05,
        least_return=200.0,
    ),
    "Pendulum-v1": Expert(
        replace(
            SHARED,
            batch_size=128,
            steps=10_000,
            hidden=(128, 128),
            learning_rate=1e-3,
            actor_learning_rate=1e-3,
            temperature=0.1,
            entropy_target=-1.0,
            target_rate=0.01,
            learning_starts=500,
        ),
        scale=0.1,
    ),
    "Hopper-v5": Expert(LOCOMOTION, episodes=5),
    "HalfCheetah-v5": Expert(replace(LOCOMOTION, steps=500_000), episodes=5),
    "Ant27-v5": Expert(  # Ant-v5 without contact forces in its observations
        replace(
            LOCOMOTION,
            hidden=(128, 128),
            learning_rate=7.3e-4,
            actor_learning_rate=7.3e-4,
            steps=400_000,
            temperature=0.05,
            target_rate=0.01,
            learning_starts=10_000,
            replay_capacity=400_000,
            checkpoint_every=20_000,
            evaluate_every=20_000,
            evaluate_episodes=3,
        ),
        episodes=4,  # five would be over a megabyte
    ),
}
CARD = """# {env_id}

{episodes} episodes of our own expert: true return {returns}, length {lengths}.
Evaluated on {evaluated} other episodes, all counted: {evaluation}. A random policy gets {random}.

Made by `python analyses/experts/study.py {env_id}`: soft Q-learning on the true reward{scale} (`train_on_reward`), then
`record_demos` with the most likely action at each step{chosen}.
irl_probe {irl_probe}, torch {torch}, gymnasium {gymnasium}.

| setting | value |
|---|---|
{settings}

Content: sha256 `{content}`. Licence: MIT, like irl_probe.
"""
EVALUATION_EPISODES = 100


def make(env_id: str) -> None:
    """Train an expert, record its demonstrations, and write them and their card."""
    expert, folder = EXPERTS[env_id], RUNS / env_id
    env = ip.envs.make_env(env_id)
    scaled = gym.wrappers.TransformReward(ip.envs.make_env(env_id), lambda reward: expert.scale * reward)
    run = ip.learn.train_on_reward(scaled, expert.config, out=folder, resume=folder.exists())
    evaluation = ip.evaluate(run.policy, env_id, episodes=EVALUATION_EPISODES, seed=1)
    random = ip.evaluate(ip.learn.random_policy(env.action_space), env_id, episodes=EVALUATION_EPISODES, seed=1)
    recorded = ip.record_demos(run.policy, env, 2 * expert.episodes, seed=0)
    good = np.flatnonzero(recorded.transitions.returns() >= expert.least_return)[: expert.episodes]
    demos = recorded.episodes(good.tolist())
    described = demos.describe()
    ip.save_demos(demos, DATA / f"{env_id}.npz", overwrite=True)
    card = CARD.format(
        env_id=env_id,
        episodes=len(good),
        returns=described.returns,
        lengths=described.lengths,
        chosen=f"; only returns of at least {expert.least_return:g}" if expert.least_return > -math.inf else "",
        evaluated=EVALUATION_EPISODES,
        evaluation=evaluation,
        random=random,
        scale=f" times {expert.scale:g}" if expert.scale != 1 else "",
        settings="\n".join(f"| {name} | {value} |" for name, value in asdict(run.config).items()),
        content=described.content_hash,
        **{name: version(name) for name in ("irl_probe", "torch", "gymnasium")},
    )
    (DATA / f"{env_id}.md").write_text(card)
    env.close()
    print(card)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("env_ids", nargs="*", default=list(EXPERTS), choices=[*EXPERTS, []], metavar="ENV")
    for name in parser.parse_args().env_ids:
        make(name)
