"""Make the bundled demonstrations: train an expert on the true reward, record it, write its card.

python analyses/experts/study.py [ENV ...]   resumes what was interrupted; one environment takes 2 to 10 minutes.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

import irl_probe as ip

ROOT = Path(__file__).parents[2]
DATA = ROOT / "irl_probe" / "demos" / "data"
RUNS = ROOT / "runs" / "experts"
SHARED = {"objective": "bellman", "weight_decay": 0.0, "target_rate": 0.01}
EXPERTS: dict[str, tuple[ip.IQConfig, int]] = {
    "CartPole-v1": (ip.IQConfig(**SHARED, steps=40_000, learning_rate=1e-3, temperature=0.1), 20),
    "Acrobot-v1": (ip.IQConfig(**SHARED, steps=60_000, learning_rate=1e-3, temperature=0.1), 20),
    "LunarLander-v3": (
        ip.IQConfig(
            **SHARED,
            steps=300_000,
            hidden=(128, 128),
            learning_rate=1e-3,
            batch_size=128,
            temperature=0.1,
            learning_starts=2000,
            update_every=2,
        ),
        20,
    ),
}
CARD = """# {env_id}

{episodes} episodes of our own expert: true return {returns}, length {lengths}.
Evaluated on {evaluated} other episodes: {evaluation}. A random policy gets {random}.

Made by `python analyses/experts/study.py {env_id}`: soft Q-learning on the true reward (`train_on_reward`), then
`record_demos` with the most likely action at each step. irl_probe {irl_probe}, torch {torch}, gymnasium {gymnasium}.

| setting | value |
|---|---|
{settings}

Content: sha256 `{content}`. Licence: MIT, like irl_probe.
"""
EVALUATION_EPISODES = 100


def make(env_id: str) -> None:
    config, episodes = EXPERTS[env_id]
    folder = RUNS / env_id
    run = ip.train_on_reward(env_id, config, out=folder, resume=folder.exists(), progress=True)
    evaluation = ip.evaluate(run.policy, env_id, episodes=EVALUATION_EPISODES, seed=1)
    env = ip.make_env(env_id)
    random = ip.evaluate(ip.random_policy(env.action_space), env_id, episodes=EVALUATION_EPISODES, seed=1)
    demos = ip.record_demos(run.policy, env, episodes, seed=0)
    env.close()
    described = demos.describe()
    ip.save_demos(demos, DATA / f"{env_id}.npz", overwrite=True)
    card = CARD.format(
        env_id=env_id,
        episodes=episodes,
        returns=described.returns,
        lengths=described.lengths,
        evaluated=EVALUATION_EPISODES,
        evaluation=evaluation,
        random=random,
        settings="\n".join(f"| {name} | {value} |" for name, value in asdict(run.config).items()),
        content=described.content_hash,
        **{name: version(name) for name in ("irl_probe", "torch", "gymnasium")},
    )
    (DATA / f"{env_id}.md").write_text(card)
    print(card)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("env_ids", nargs="*", default=list(EXPERTS), choices=[*EXPERTS, []], metavar="ENV")
    for name in parser.parse_args().env_ids:
        make(name)
