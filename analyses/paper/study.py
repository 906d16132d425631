"""The paper's reward results on our rewards: correlations with the length control, the grid, and what ".99" means.

python analyses/paper/study.py correlations [--episodes 60]   every shipped reward: results.nc, the table of README.md
python analyses/paper/study.py grid                           grid.png: IQ-Learn's Figure 4
python analyses/paper/study.py hopper DEMOS                   hopper.nc, hopper.png: the length confound on Hopper-v5
python analyses/paper/study.py page                           report.html: the page of hopper.nc
python analyses/paper/study.py write                          the tables of README.md and docs/what_99_means.md

DEMOS is a file of expert demonstrations of Hopper-v5 with true rewards, or "minari:mujoco/hopper/expert-v0". The
results hold only figures and no demonstrations.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

import irl_probe as ip

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "what_99_means.md"
SEED = 0


def correlations(episodes: int) -> None:
    """Compare every shipped reward, and a constant one, with the true reward of its environment."""
    tasks: dict[str, list[str]] = {}
    for reward in ip.zoo.list_zoo():
        tasks.setdefault(reward.rpartition("/")[0], []).append(reward)
    runs = {}
    for env_id, names in tasks.items():
        rewards = {name.rpartition("/")[2]: ip.load_reward(name) for name in names}
        found = ip.coverages(env_id, episodes=episodes, seed=SEED)
        runs[env_id] = ip.compare(rewards, transitions=found, config=ip.CompareConfig(seed=SEED))
        print(env_id, ", ".join(rewards), flush=True)
    ip.results.save_results(ip.results.stack_runs(runs, "task"), HERE / "results.nc", overwrite=True)


def grid() -> None:
    """True and recovered reward and soft value of the paper's grid, side by side."""
    mdp, reward = ip.envs.gridworld(), ip.load_reward("GridWorld/iq")
    states, actions, _ = mdp.transition.shape
    s, a = (index.ravel() for index in np.indices((states, actions)))
    table = reward(s, a, s, np.zeros(len(s), dtype=bool)).reshape(states, actions)
    maps = {
        "true reward": mdp.reward[:, 0, 0],
        "recovered reward, mean over actions": table.mean(axis=1),
        "recovered soft value": reward.v(np.arange(states)),
    }
    figure = Figure(figsize=(9.6, 3.4), dpi=110)
    for place, (name, values) in enumerate(maps.items(), start=1):
        cells = xr.DataArray(values.reshape(mdp.shape), dims=("row", "col"))
        ip.plots.grid_heatmap(cells, ax=figure.add_subplot(1, 3, place)).set_title(name, fontsize=9)
    figure.tight_layout()
    figure.savefig(HERE / "grid.png")


def blind_rewards(sizes: tuple[int, int]) -> dict[str, object]:
    """Rewards without knowledge of the task: 1 at each step; 1 plus noise; 1 plus a random linear one of (s, a)."""
    rng = np.random.default_rng(SEED)
    weights = rng.normal(size=sum(sizes)) / 10

    def noisy(s, a, t, d):
        return 1 + np.random.default_rng(SEED + 1).normal(size=len(s))

    def linear(s, a, t, d):
        return 1 + np.hstack([s, a]) @ weights

    return {
        "constant": lambda s, a, t, d: np.ones(len(s)),
        "constant + noise": noisy,
        "constant + random linear": linear,
    }


def hopper(demos: str) -> None:
    """Compare blind rewards, and one learned offline, with Hopper's true reward on a clone with more and more noise."""
    loaded = ip.load_demos(demos, env_id="Hopper-v5")
    found = ip.coverages("Hopper-v5", demos=loaded, episodes=60, seed=SEED)
    steps = {"mixture": found["mixture"]}
    rewards = blind_rewards((found["mixture"].observations.shape[1], found["mixture"].actions.shape[1]))
    run = ip.train(loaded.episodes(1), ip.IQConfig(seed=SEED, steps=3000), progress=False)
    rewards["IQ-Learn, offline"] = ip.recover(run)
    tree = ip.compare(rewards, transitions=steps, config=ip.CompareConfig(seed=SEED))
    points = tree["points/mixture"].to_dataset()
    figure = Figure(figsize=(9.6, 3.2), dpi=110)
    for place, name in enumerate(("constant", "constant + noise", "IQ-Learn, offline"), start=1):
        ip.plots.reward_scatter(points, name, "episode", ax=figure.add_subplot(1, 3, place)).set_title(name, fontsize=9)
    figure.tight_layout()
    figure.savefig(HERE / "hopper.png")
    figure.savefig(PAGE.with_name("hopper.png"))
    del tree["points"]
    tree.attrs["env_id"] = "Hopper-v5"
    ip.results.save_results(tree, HERE / "hopper.nc", overwrite=True)


def page() -> None:
    """The report on the blind rewards and the learned one."""
    tree = ip.results.load_results(HERE / "hopper.nc")
    tree.attrs["title"] = "What IQ-Learn’s .99 means: Hopper-v5"
    ip.write_report(tree, HERE / "report.html", overwrite=True)


def write() -> None:
    """Write the tables between their marks."""
    blocks = {}
    if (HERE / "results.nc").exists():
        tree = ip.results.load_results(HERE / "results.nc")
        where = {"metric": "pearson", "coverage": "mixture"}
        blocks["correlations"] = ip.results.to_markdown(tree, where=where)
    if (HERE / "hopper.nc").exists():
        blocks["hopper"] = ip.results.to_markdown(ip.results.load_results(HERE / "hopper.nc"))
    for path in (HERE / "README.md", PAGE):
        text = path.read_text(encoding="utf-8")
        for name, table in blocks.items():
            before, mark, rest = text.partition(f"<!-- {name} -->\n")
            if mark:
                text = f"{before}{mark}\n{table}\n<!-- end -->{rest.partition('<!-- end -->')[2]}"
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("correlations").add_argument("--episodes", type=int, default=60)
    verbs.add_parser("grid")
    verbs.add_parser("hopper").add_argument("demos")
    verbs.add_parser("page")
    verbs.add_parser("write")
    given = vars(parser.parse_args())
    {"correlations": correlations, "grid": grid, "hopper": hopper, "page": page, "write": write}[given.pop("verb")](
        **given
    )
