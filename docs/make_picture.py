"""Draw docs/picture.png from two shipped rewards and the bundled demonstrations: `python docs/make_picture.py`.

Pendulum-v1's state has two numbers, so a reward can be drawn as a map: angle on the horizontal axis, angular velocity
on the vertical one, the mean over five torques as colour. On the left the true reward; in the middle Q − γV, the reward
that a soft Q-function implies, with the demonstrations in white; on the right the linear part in the state, which
`distil` finds in such a reward.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import irl_probe as ip
from irl_probe.envs import simulator

PAGE = Path(__file__).with_name("picture.png")
TORQUES = np.linspace(-2, 2, 5)
ANGLES, SPEEDS = np.linspace(-np.pi, np.pi, 241), np.linspace(-8, 8, 201)


def maps() -> dict[str, np.ndarray]:
    """The mean over torques of each reward, at every angle and speed: (speeds, angles)."""
    angle, speed = (grid.ravel() for grid in np.meshgrid(ANGLES, SPEEDS))
    states = np.stack([np.cos(angle), np.sin(angle), speed], axis=1).astype(np.float32)
    terminated, env = np.zeros(len(states), dtype=bool), simulator("Pendulum-v1")
    recovered, task = ip.load_reward("Pendulum-v1/sqil"), ip.load_reward("Pendulum-v1/sqil-linear")
    sums = np.zeros((3, len(states)))
    for torque in TORQUES:
        actions = np.full((len(states), 1), torque, dtype=np.float32)
        step = env.step(states, actions)
        sums[0] += step.rewards
        sums[1] += recovered(states, actions, step.next_observations, terminated)
        sums[2] += task(states, actions, step.next_observations, terminated)
    names = ("true reward (no learner sees it)", "recovered: Q − γV", "distilled: the task in it")
    return {name: values.reshape(len(SPEEDS), len(ANGLES)) for name, values in zip(names, sums, strict=True)}


def paths() -> list[tuple[np.ndarray, np.ndarray]]:
    """Angle and speed along each demonstration, with a gap where the angle wraps."""
    steps = ip.load_demos("Pendulum-v1").transitions
    found = []
    for episode in np.unique(steps.episode):
        cos, sin, speed = steps.observations[steps.episode == episode].T
        angle = np.degrees(np.arctan2(sin, cos))
        angle[1:][np.abs(np.diff(angle)) > 180] = np.nan
        found.append((angle, speed))
    return found


def draw() -> Figure:
    """The three maps side by side, each with its own colour scale: a reward's scale and constant are free."""
    figure = Figure(figsize=(9.6, 3.1), dpi=100, layout="constrained")
    places = figure.subplots(1, 3, sharey=True)
    for place, (name, values) in zip(places, maps().items(), strict=True):
        low, high = np.quantile(values, [0.005, 0.995])
        place.imshow(
            values, origin="lower", extent=(-180, 180, -8, 8), aspect="auto", cmap="cividis", vmin=low, vmax=high
        )
        place.set_title(name, fontsize=10)
        place.set_xticks([-180, -90, 0, 90, 180], ["down", "−90°", "up", "90°", "down"])
        place.tick_params(labelsize=8)
    for angle, speed in paths():
        places[1].plot(angle, speed, color="white", linewidth=0.6, alpha=0.7)
    places[0].set_ylabel("angular velocity (rad/s)", fontsize=8)
    return figure


if __name__ == "__main__":
    draw().savefig(PAGE)
