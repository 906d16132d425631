"""Synthetic results trees for the tests of the report: like those of real runs, made from a seed without training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr
from scipy import stats

from irl_probe.results import (
    correlation_group,
    decomposition_group,
    distance_group,
    grid_group,
    learning_group,
    new_results,
    points_group,
    ranking_group,
    retraining_group,
    returns_group,
    transfer_group,
)

LEVELS = ("step", "partial", "episode")
METRICS = ("pearson", "spearman", "kendall")
CONTROLS = ("none", "constant", "length")


def points(
    rng: np.random.Generator, lengths: np.ndarray, agreement: Mapping[str, float], *, constant_truth: bool = False
) -> xr.Dataset:
    """Per-step rewards whose step correlation with the truth is about `agreement` for each reward."""
    episode = np.repeat(np.arange(len(lengths)), lengths)
    quality = np.repeat(rng.normal(size=len(lengths)), lengths)
    true = np.ones(len(episode)) if constant_truth else 1.0 + 0.5 * quality + rng.normal(size=len(episode))
    noise = rng.normal(size=len(episode))
    recovered = {name: 0.02 + 0.1 * (a * true + np.sqrt(1 - a**2) * noise) for name, a in agreement.items()}
    return points_group(episode, true, recovered)


def correlations(coverages: Mapping[str, xr.Dataset], metrics: Sequence[str] = METRICS) -> xr.Dataset:
    """/correlation of the points, with intervals made up from the number of episodes."""
    rewards = [str(r) for r in next(iter(coverages.values()))["reward"].values]
    shape = (len(rewards), 1, len(coverages), len(metrics), len(LEVELS), len(CONTROLS))
    value, reason = np.full((*shape, 3), np.nan), np.full(shape, "", dtype=object)
    for c, data in enumerate(coverages.values()):
        for v, level in enumerate(LEVELS):
            true, lengths = _sums(data["true"].values, data, level), _sums(np.ones(data.sizes["step"]), data, level)
            for r, reward in enumerate(rewards):
                recovered = _sums(data["recovered"].sel(reward=reward).values, data, level)
                for m, metric in enumerate(metrics):
                    for k, control in enumerate(CONTROLS):
                        figure, why = _figure(true, recovered, lengths, metric, control)
                        margin = min(0.4, 1.5 / np.sqrt(len(true))) * (1 - figure**2)
                        value[r, 0, c, m, v, k] = np.clip([figure, figure - margin, figure + margin], -1, 1)
                        reason[r, 0, c, m, v, k] = why
    return correlation_group(
        value, reason, rewards=rewards, references=["true"], coverages=list(coverages), metrics=list(metrics),
        levels=LEVELS, controls=CONTROLS,
    )  # fmt: skip


def cartpole(title: str = "CartPole-v1, one demonstration") -> xr.DataTree:
    """True reward 1 at every step: undefined at step level, only length at episode level; retraining works."""
    rng = np.random.default_rng(1)
    lengths = {"expert": np.full(20, 500), "learned": rng.integers(300, 501, 20), "random": rng.integers(9, 60, 40)}
    lengths["noisy expert mixture"] = rng.integers(10, 501, 60)
    coverages = {name: points(rng, one, {"iq": 0.0}, constant_truth=True) for name, one in lengths.items()}
    steps = np.arange(0, 10_001, 500)
    curve = 500 / (1 + np.exp(-(steps - 3000) / 700))
    episodes = {
        "expert": np.full(20, 500.0), "learned": rng.integers(470, 501, 20), "retrained": rng.integers(440, 501, 20),
        "bc": rng.integers(90, 420, 20), "random": rng.integers(9, 60, 20),
    }  # fmt: skip
    figures = {
        "return_mean": curve, "return_low": curve - 25, "return_high": np.minimum(500, curve + 25),
        "loss": np.exp(-steps / 2500) + 0.1, "reward_expert": 0.05 * np.tanh(steps / 3000), "q_mean": steps / 300.0,
    }  # fmt: skip
    return new_results(
        {
            "learning": learning_group(steps, figures),
            "returns": returns_group(episodes, episodes, resamples=200),
            "correlation": correlations(coverages),
            **{f"points/{name}": data for name, data in coverages.items()},
        },
        title=title,
        env_id="CartPole-v1",
        gamma=0.99,
        temperature=0.1,
        seed=0,
        reward_kind="marginal",
        expectation="resettable simulator",
        terminal="absorbing",
        stochastic=False,
        demonstrations={"episodes": 1, "steps": 25, "returns": [500.0], "hash": "9f2c" * 16},
        config={"train": {"objective": "iq", "divergence": "chi2", "value_term": "expert", "hidden": [64, 64]}},
    )


def gridworld(size: int = 5) -> xr.DataTree:
    """A tabular grid with a wall: exact distances, regret, and heat maps of two kinds."""
    rng = np.random.default_rng(2)
    true = np.zeros((size, size))
    true[-1, -1], true[0, -1], true[1, 1] = 1.0, -1.0, np.nan
    rows, columns = np.mgrid[:size, :size]
    value = np.where(np.isnan(true), np.nan, 3.0 * 0.9 ** (2 * size - 2 - rows - columns))
    kinds = ("30 demonstrations", "exact occupancy")
    maps = {k: true * 0.8 + s * rng.normal(size=true.shape) for k, s in zip(kinds, (0.25, 0.01), strict=True)}
    values = {k: value + s * rng.normal(size=true.shape) for k, s in zip(kinds, (0.3, 0.01), strict=True)}
    metrics = ("epic", "dard", "starc_val", "starc_minimal", "npec", "regret")
    distances = np.array([[0.21, 0.19, 0.31, 0.28, 0.2, 0.04], [0.002, 0.001, 0.003, 0.002, 0.001, 0.0]])
    exact = np.repeat(distances[:, None, None, :, None], 3, axis=-1)
    rewards = ["30 demonstrations", "exact occupancy"]
    lengths = rng.integers(8, 30, 30)
    coverages = {"expert": points(rng, lengths, dict(zip(rewards, (0.8, 0.99), strict=True)))}
    return new_results(
        {
            "grid": grid_group(true, maps, value, values),
            "distance": distance_group(
                exact, np.full(exact.shape[:-1], "", dtype=object), rewards=rewards, references=["true"],
                coverages=["uniform"], metrics=metrics, exact=True,
            ),
            "correlation": correlations(coverages),
            "points/expert": coverages["expert"],
        },
        title="GridWorld",
        env_id="GridWorld",
        gamma=0.9,
        temperature=1.0,
        reward_kind="marginal",
        expectation="exact",
        terminal="zero",
        stochastic=True,
    )  # fmt: skip


def many(
    *, steps: int = 100_000, episodes: int = 100, rewards: int = 8, metrics: Sequence[str] = METRICS
) -> xr.DataTree:
    """A continuous task with many steps, rewards of falling quality, two coverages and five retraining seeds."""
    rng = np.random.default_rng(3)
    names = [f"reward-{place}" for place in range(rewards)]
    agreement = dict(zip(names, np.linspace(0.9, -0.2, rewards), strict=True))
    lengths = np.full(episodes, steps // episodes // 2)
    lengths = np.maximum(1, lengths + rng.integers(-lengths[0] // 3, lengths[0] // 3 + 1, episodes))
    coverages = {name: points(rng, lengths, agreement) for name in ("expert", "noisy expert mixture")}
    normalised = np.clip(np.linspace(1.0, 0.2, rewards)[:, None] + 0.05 * rng.normal(size=(rewards, 5)), -1, 1.2)
    mean = normalised.mean(axis=1)
    interval = np.stack([mean, mean - 0.05, mean + 0.05], axis=-1)
    return new_results(
        {
            "correlation": correlations(coverages, metrics),
            "retraining": retraining_group(
                3000 * normalised, rewards=names, seeds=list(range(5)), normalised=normalised, normalised_mean=interval
            ),
            **{f"points/{name}": data for name, data in coverages.items()},
        },
        title="Hopper-v5, eight rewards",
        env_id="Hopper-v5",
        gamma=0.99,
        reward_kind="per-transition",
    )


def full() -> xr.DataTree:
    """Three rewards of one task with everything that can be measured: sampled distances, decomposition, transfer."""
    rng = np.random.default_rng(4)
    names = ["iq-chi2", "iq-kl", "sqil"]
    agreement = dict(zip(names, (0.8, 0.5, 0.2), strict=True))
    everyone = {**agreement, "true": 1.0, "constant": 0.0}
    coverages = {n: points(rng, rng.integers(60, 300, 30), everyone) for n in ("expert", "mixture")}
    metrics = ("epic", "dard", "starc_val", "starc_minimal")
    base = np.array([[0.31, 0.35, 0.42, 0.40], [0.52, 0.55, 0.71, 0.69], [0.80, 0.82, 1.20, 1.16]])
    distances = base[:, None, None, :, None] + np.array([0, -0.03, 0.03]) + np.zeros((3, 1, 2, 4, 3))
    calibration = np.zeros((1, 2, 4, 3)) + np.array([0.0, -0.005, 0.005])
    shares = np.array([[0.6, 0.25, 0.05, 0.1], [0.35, 0.3, 0.05, 0.3], [0.1, -0.05, 0.05, 0.9]])
    parts = shares[:, None, None, :, None] + np.array([0, -0.02, 0.02]) + np.zeros((3, 1, 2, 4, 3))
    retrained = np.array([[0.97, 0.975, 0.965], [0.845, 0.855, 0.85], [0.3, 0.32, 0.28]])
    variants = ["unchanged", "mass ×0.5", "mass ×2", "friction ×0.5"]
    policies = ["random", "carried over", *names, "true reward"]
    carried = np.array([[0, 1.0, 0.97, 0.85, 0.3, 1], [0, 0.7, 0.93, 0.8, 0.2, 1], [0, 0.5, 0.9, 0.6, 0.25, 1]])
    carried = np.vstack([carried, [0, 0.45, 0.92, 0.55, 0.1, 1]])
    value = carried[..., None] + np.array([0, -0.04, 0.04])
    return new_results(
        {
            "correlation": correlations(coverages),
            "distance": distance_group(
                distances, np.full((3, 1, 2, 4), ""), rewards=names, references=["true"], coverages=list(coverages),
                metrics=metrics, exact=False, shaped=np.tile(calibration, (3, 1, 1, 1, 1)) + 0.02,
                shaped_10=np.tile(calibration, (3, 1, 1, 1, 1)) + 0.03, random=calibration + 0.95,
                off_support=np.full((2, 4), 0.12),
            ),
            "decomposition": decomposition_group(
                parts, np.full((3, 1, 2, 4), ""), np.full((3, 1, 2, 3), 0.1), rewards=names, references=["true"],
                coverages=list(coverages), parts=["scale", "potential", "redistribution", "residual"],
            ),
            "ranking": ranking_group(
                [[1.0, 0.9, 1.0], [0.6, 0.2, 1.0], [np.nan] * 3], ["", "", "All policies have the same mean return."],
                [0.8, 0.4, 1.0], true=[2900.0, 20.0, 800.0], recovered=[[29.0, 0.2, 8.0], [3.0, 0.1, 4.0], [1.0] * 3],
                rewards=names, policies=["expert", "noise 1", "noise 0.4"],
            ),
            "retraining": retraining_group(
                3000 * retrained, rewards=names, seeds=[0, 1, 2], normalised=retrained
            ),
            "transfer": transfer_group(
                3000 * np.repeat(carried[..., None], 3, axis=-1), variants=variants, policies=policies, seeds=[0, 1, 2],
                mean=3000 * value, value=value, reason=np.full((4, 6), ""), overall=value[1:].mean(axis=0),
                parameter=["nothing", "mass", "mass", "friction"], factor=[1.0, 0.5, 2.0, 0.5],
            ),
            **{f"points/{name}": data for name, data in coverages.items()},
        },
        title="Hopper-v5: three recovered rewards",
        env_id="Hopper-v5",
        gamma=0.99,
        reward_kind="per-transition",
        stochastic=False,
    )  # fmt: skip


def _sums(values: np.ndarray, data: xr.Dataset, level: str) -> np.ndarray:
    episode = data["episode"].values
    if level == "step":
        return values
    starts = np.concatenate([[0], np.flatnonzero(np.diff(episode)) + 1])
    if level == "partial":
        position = np.arange(len(episode)) - np.repeat(starts, np.diff(np.append(starts, len(episode))))
        starts = np.flatnonzero(position % 50 == 0)
    return np.add.reduceat(values, starts)


def _figure(
    true: np.ndarray, recovered: np.ndarray, lengths: np.ndarray, metric: str, control: str
) -> tuple[float, str]:
    if np.ptp(true) == 0:
        return np.nan, "the true reward is the same everywhere here, and a constant has no correlation"
    if control == "constant":
        recovered = lengths
    if control != "none" and np.ptp(lengths) == 0:
        return np.nan, "all stretches are equally long, so there is no length to control for"
    if control == "length":
        true, recovered = (y - np.polyval(np.polyfit(lengths, y, 1), lengths) for y in (true, recovered))
        if np.ptp(true) < 1e-6:
            return np.nan, "the true return is the length itself: nothing is left once length is taken out"
    if len(true) > 5000:  # the rank correlations of a large sample, near enough for a synthetic tree
        metric, true, recovered = "pearson", true[:: len(true) // 5000], recovered[:: len(recovered) // 5000]
    measure = {"pearson": stats.pearsonr, "spearman": stats.spearmanr, "kendall": stats.kendalltau}[metric]
    return float(measure(true, recovered).statistic), ""
