"""A training run in a process of its own, which a test may kill; multiprocessing finds it here by its name."""

from __future__ import annotations

import irl_probe as ip


def train(mode: str, folder: str, resume: bool, config: dict) -> None:
    """Begin or resume the run of `mode` in `folder`."""
    import torch

    torch.set_num_threads(1)
    env = ip.envs.make_env("Hopper-v5" if mode == "mujoco" else "CartPole-v1")
    if mode == "mujoco":
        demos = ip.record_demos(ip.learn.random_policy(env.action_space), env, 3, seed=0)
    else:
        demos = ip.load_demos("CartPole-v1", episodes=1)
    settings = ip.IQConfig.from_dict(config)
    ip.train(demos, settings, env=None if mode == "offline" else env, out=folder, resume=resume, progress=False)
