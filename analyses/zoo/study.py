"""Make the shipped rewards from scratch: demonstrations, soft Q, reward, measures, retraining, card, index.

python analyses/zoo/study.py make [ID ...]    each reward of entries.py; resumes interrupted runs (runs/zoo/)
python analyses/zoo/study.py add RUN ID [--demos FILE] [--source TEXT] [--licence TEXT]
                                    a reward from a finished run's folder, whose demonstrations are not shipped
python analyses/zoo/study.py true ID ...      adds policies on the true reward to the figures of a shipped reward
python analyses/zoo/study.py forms [ID ...]   what distilled forms explain and cost: forms/, and the tables of README.md
python analyses/zoo/study.py intervals        cards with percentile intervals over seeds get those of today, once
python analyses/zoo/study.py cards            every card again, from its reward.json, and index.json
python analyses/zoo/study.py index            index.json and the table of README.md, from the shipped rewards

The id of a reward is ENV/NAME. Retraining: three seeds, the true return of 20 episodes each, compared with policies
trained on the true reward with the same learner and budget. Correlations: on the demonstrations, on random steps, and
on a mixture of noisy clones.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from entries import ENTRIES, Entry
from steps import clone, coverages, held_actions

import irl_probe as ip

ROOT = Path(__file__).parents[2]
ZOO = ROOT / "recovered_rewards"
RUNS = ROOT / "runs" / "zoo"
README = Path(__file__).with_name("README.md")
EPISODES = 20
INTERVAL = "interval of retraining"  # the figure that says how a card's intervals over seeds are made


def make(reward_id: str, entry: Entry) -> None:
    """One reward from its demonstrations."""
    folder = RUNS / reward_id
    env_id = reward_id.split("/")[0]
    demos = ip.load_demos(entry.demos or env_id, episodes=entry.episodes, env_id=env_id)
    out = folder / "run"
    resume = (out / "checkpoint.pt").exists()
    live = ip.envs.make_env(env_id) if entry.online else None
    others = held_actions(partial(ip.envs.make_env, env_id)) if entry.held else None
    run = ip.train(demos, entry.learner, env=live, others=others, out=out, resume=resume, progress=False)
    finish(reward_id, run, demos, entry)


def make_grid(reward_id: str, entry: Entry) -> None:
    """The marginal reward of the grid with exact measures (the probe of the paper's grid), and retraining."""
    folder = RUNS / reward_id
    if not (folder / "probe" / "report.html").exists():
        ip.probe("GridWorld", out=folder / "probe")
    tree = ip.results.load_results(folder / "probe" / "results.nc")
    reward = ip.load_reward(folder / "probe" / "reward")
    name = str(tree["correlation"].to_dataset()["reward"].values[0])
    config = ip.retraining.RetrainStudyConfig(learner=entry.retrain, seeds=entry.seeds, episodes=100)
    expert = float(json.loads(tree.attrs["demonstrations"])["returns"]["mean"])
    retrained = ip.retraining.retrain_study(
        {name: reward}, config, env="GridWorld", expert=expert, out=folder / "retrain", progress=False
    )
    figures: dict[str, object] = {**ip.results.reward_figures(tree, name), **ip.results.reward_figures(retrained, name)}
    ship(reward_id, reward, {**figures, **budget(retrained, name, entry)}, entry)


def add(reward_id: str, run_folder: Path, entry: Entry) -> None:
    """One reward from a finished run."""
    env_id = reward_id.split("/")[0]
    demos = ip.load_demos(entry.demos or env_id, episodes=entry.episodes, env_id=env_id)
    finish(reward_id, ip.load_run(run_folder), demos, entry)


def finish(reward_id: str, run: ip.Run, demos: ip.Demonstrations, entry: Entry) -> None:
    """Recover, measure and retrain, and put the reward into the zoo."""
    env_id, folder = reward_id.split("/")[0], RUNS / reward_id
    maker = partial(ip.envs.make_env, env_id)
    recovered = ip.recover(run)
    rewards: dict[str, ip.rewards.RecoveredReward | ip.rewards.DistilledReward] = {"this reward": recovered}
    if entry.distil is not None:
        steps = coverages(demos, run.policy, maker)
        distilled = ip.distil(recovered, entry.distil, transitions={name: steps[name] for name in entry.distil_on})
        rewards = {"this reward": distilled, "recovered": recovered}
    reward = rewards["this reward"]
    env = maker()
    ip.rewards.check_reward_model(reward, env)
    env.close()
    compared = ip.compare(rewards, transitions=coverages(demos, clone(demos, maker), maker))
    config = ip.retraining.RetrainStudyConfig(
        learner=entry.retrain,
        true_learner=entry.on_true_reward,
        on_true_reward=entry.on_true_reward is not None,
        seeds=entry.seeds,
        episodes=EPISODES,
    )
    expert = None if demos.whole.returns is None else float(demos.whole.returns.mean())
    retrained = ip.retraining.retrain_study(
        {"this reward": reward}, config, env=maker, expert=expert, out=folder / "retrain", progress=False
    )
    imitator = ip.evaluate(run.policy, maker, episodes=EPISODES, seed=10_000)
    figures: dict[str, object] = {
        **reward.figures,
        **ip.results.reward_figures(compared, "this reward"),
        **ip.results.reward_figures(retrained, "this reward"),
        "imitator's true return": bootstrap(imitator.returns),
    }
    if entry.distil is not None:
        section = "correlation, mixture"
        figures[f"{section}, of what it was distilled from"] = ip.results.reward_figures(compared, "recovered")[section]
    ship(reward_id, reward, {**figures, **budget(retrained, "this reward", entry)}, entry)


def beside_true_reward(reward_id: str, entry: Entry) -> None:
    """Train policies on the true reward with the budget of a shipped reward, and add them to its figures."""
    if entry.on_true_reward is None:
        raise SystemExit(
            f"entries.py must say how policies are trained on the true reward of {reward_id}; it does not."
        )
    env_id, reward = reward_id.split("/")[0], ip.load_reward(ZOO / reward_id)
    config = ip.retraining.RetrainStudyConfig(
        learner=entry.retrain, true_learner=entry.on_true_reward, seeds=entry.seeds, episodes=EPISODES
    )
    expert = reward.figures["expert's true return"]
    tree = ip.retraining.retrain_study(
        {}, config, env=env_id, expert=expert, out=RUNS / reward_id / "retrain", progress=False
    )
    beside = ip.results.reward_figures(tree, "this reward")["retraining"]
    retraining = {**reward.figures["retraining"], **beside}
    ship(reward_id, reward, {**reward.figures, "retraining": retraining, **on_the_truth(tree, entry)}, entry)


def budget(retrained: xr.DataTree, name: str, entry: Entry) -> dict[str, object]:
    """The budget, settings and returns of the retrained policies, and the returns that they are normalised by."""
    facts = retrained["retraining"].attrs
    seeds = retrained["retraining"].sizes["seed"]
    return {
        "retrained policies": f"{seeds} seeds, {facts['steps']} environment steps each",
        "their true returns": returns_of(retrained, name),
        "retrained with": settings(entry.retrain),
        "expert's true return": facts.get("expert_return"),
        "random policy's true return": facts["random_return"],
        INTERVAL: facts["interval"],
        **({} if entry.on_true_reward is None else on_the_truth(retrained, entry)),
    }


def on_the_truth(retrained: xr.DataTree, entry: Entry) -> dict[str, object]:
    """The returns and settings of the policies on the true reward."""
    assert entry.on_true_reward is not None
    return {
        "true reward, their true returns": returns_of(retrained, "true reward"),
        "true reward, retrained with": settings(entry.on_true_reward),
    }


def returns_of(retrained: xr.DataTree, reward: str) -> str:
    """The true returns of the policies on one reward, by seed."""
    returns = retrained["retraining"].to_dataset()["return_mean"].sel(reward=reward)
    return ", ".join(f"{each:.4g}" for each in returns.values)


def settings(learner: ip.RLConfig) -> str:
    """The settings of a learner that differ from the defaults of RLConfig."""
    chosen = {name: value for name, value in vars(learner).items() if value != getattr(ip.RLConfig(), name)}
    return f"RLConfig: {', '.join(f'{name}={value}' for name, value in chosen.items()) or 'the defaults'}"


def bootstrap(returns: np.ndarray) -> dict[str, float]:
    """The mean over episodes with its 95 % bootstrap interval."""
    draws = np.random.default_rng(0).choice(returns, (2000, len(returns))).mean(axis=1)
    low, high = np.quantile(draws, [0.025, 0.975])
    return {"estimate": float(returns.mean()), "low": float(low), "high": float(high)}


def ship(
    reward_id: str,
    reward: ip.rewards.RecoveredReward | ip.rewards.DistilledReward,
    figures: dict[str, object],
    entry: Entry,
) -> None:
    """Save a reward into the zoo with a card, and write the index again."""
    command = f"python analyses/zoo/study.py {'add' if entry.demos else 'make'} {reward_id}"
    provenance = {**reward.provenance, "zoo_id": reward_id, "made_by": command}
    provenance |= {"demonstrations_source": entry.source, "licence": entry.licence}
    if entry.held:
        provenance["others_source"] = "random actions held for 5, 20 and 100 steps (analyses/zoo/steps.py)"
    ip.save_reward(replace(reward, provenance=provenance), ZOO / reward_id, figures=figures, overwrite=True)
    index()
    print(ip.zoo.show_zoo(reward_id), flush=True)


def index() -> None:
    """Write index.json and the table of README.md."""
    ip.zoo.write_index(ZOO)
    before, _, rest = README.read_text().partition("<!-- table -->")
    _, _, after = rest.partition("<!-- end -->")
    README.write_text(f"{before}<!-- table -->\n{table()}<!-- end -->{after}")


def forms(ids: list[str]) -> None:
    """Compare the distilled forms of shipped rewards in each measure, and write the tables of README.md."""
    for reward_id in ids:
        reward = ip.load_reward(reward_id)
        tree = ip.pipeline.compare_forms(reward, reward_id.split("/")[0], episodes=EPISODES)
        del tree["points"]  # the rewards of every step are not needed here
        ip.results.save_results(tree, README.parent / "forms" / f"{reward_id}.nc", overwrite=True)
    parts = []
    for path in sorted((README.parent / "forms").glob("*/*.nc")):
        tree = ip.results.load_results(path)
        parts += [f"**{path.parent.name}/{path.stem}**, mixture\n", ip.pipeline.forms_table(tree, "mixture"), ""]
    before, _, rest = README.read_text().partition("<!-- forms -->")
    _, _, after = rest.partition("<!-- end forms -->")
    README.write_text(f"{before}<!-- forms -->\n" + "\n".join(parts) + f"<!-- end forms -->{after}")


def intervals() -> None:
    """Replace percentile intervals over three seeds by today's, in cards that do not say how theirs were made.

    The ends of a percentile interval of three seeds are the least and the greatest of them, since 1 of 27 resamples
    draws one seed thrice; the centre is their mean, so all three are known.
    """
    for path in sorted(ZOO.glob("*/*/reward.json")):
        reward = ip.load_reward(path.parent)
        figures = dict(reward.figures)
        if INTERVAL in figures:
            continue
        if not str(figures["retrained policies"]).startswith("3 seeds"):
            raise SystemExit(f"{path}: only the seeds of a percentile interval of three are known.")
        retraining = dict(figures["retraining"])
        random, expert = (float(figures[f"{who} true return"]) for who in ("random policy's", "expert's"))
        for whose in ("", " (true reward)"):
            old = retraining.get(f"mean{whose}")
            if old is None:
                continue
            middle = 3 * old["estimate"] - old["low"] - old["high"]
            returns = np.array([old["low"], middle, old["high"]])
            found = ip.metrics.stratified_bootstrap(returns)
            retraining[f"mean{whose}"] = figure(found.array, found.reason)
            retraining[f"normalised_mean{whose}"] = figure((found.array - random) / (expert - random), found.reason)
            listed = ", ".join(f"{each:.4g}" for each in returns)
            figures.setdefault("true reward, their true returns" if whose else "their true returns", listed)
        figures |= {"retraining": retraining, INTERVAL: ip.metrics.OVER_SEEDS}
        ip.save_reward(reward, path.parent, figures=figures, overwrite=True)
    index()


def figure(bounds: np.ndarray, reason: str) -> dict[str, float | str | None]:
    """A figure of a card; no end of an interval is None, with the reason."""
    ends = {
        name: float(v) if np.isfinite(v) else None for name, v in zip(("estimate", "low", "high"), bounds, strict=True)
    }
    return ends | ({"reason": reason} if reason else {})


def table() -> str:
    """One line a reward: the return of policies on it and on the true reward, and its correlations."""
    lines = [
        "| reward | retrained on it alone, normalised | on the true reward | imitator's true return "
        "| Pearson per step, mixture | per step, random | per episode, length out, mixture | per episode, random |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for path in sorted(ZOO.glob("*/*/reward.json")):
        figures = json.loads(path.read_text())["figures"]
        retraining, mixture = figures.get("retraining", {}), figures.get("correlation, mixture", {})
        on_random = figures.get("correlation, random", {})
        cells = [
            retraining.get("normalised_mean"),
            retraining.get("normalised_mean (true reward)"),
            figures.get("imitator's true return"),
            mixture.get("pearson, step"),
            on_random.get("pearson, step"),
            mixture.get("pearson, episode, length partialled out"),
            on_random.get("pearson, episode"),
        ]
        reward_id = path.parent.relative_to(ZOO).as_posix()
        lines.append(
            f"| [{reward_id}](../../recovered_rewards/{reward_id}/README.md) | {' | '.join(map(show, cells))} |"
        )
    return "\n".join(lines) + "\n"


def show(figure: dict[str, float | None] | None) -> str:
    if figure is None or figure["estimate"] is None:
        return "–"
    interval = "" if figure["low"] is None else f" [{figure['low']:.2f}, {figure['high']:.2f}]"
    return f"{figure['estimate']:.2f}{interval}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    making = verbs.add_parser("make")
    making.add_argument("ids", nargs="*", default=list(ENTRIES))
    making.add_argument("--seeds", type=int, nargs="+", help="of the retrained policies; default three")
    making.add_argument("--skip-true", action="store_true", help="train no policies on the true reward")
    adding = verbs.add_parser("add")
    adding.add_argument("run", type=Path)
    adding.add_argument("id")
    adding.add_argument("--demos", required=True, help="the file that the run learned from")
    adding.add_argument("--episodes", type=int, help="how many of them, from the first; default all")
    adding.add_argument("--source", default="not shipped with irl_probe, and not made by its authors")
    adding.add_argument("--licence", default="MIT for the weights, like irl_probe")
    adding.add_argument("--steps", type=int, default=100_000, help="of the retrained policies")
    adding.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    distilling = verbs.add_parser("forms")
    distilling.add_argument("ids", nargs="*", default=["GridWorld/iq", "CartPole-v1/iq", "Acrobot-v1/iq-offline"])
    beside = verbs.add_parser("true")
    beside.add_argument("ids", nargs="+")
    verbs.add_parser("intervals")
    verbs.add_parser("cards")
    verbs.add_parser("index")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.verb == "make":
        for each in arguments.ids:
            entry = ENTRIES[each]
            entry = replace(entry, seeds=tuple(arguments.seeds or entry.seeds))
            entry = replace(entry, on_true_reward=None) if arguments.skip_true else entry
            (make_grid if each.startswith("GridWorld/") else make)(each, entry)
    elif arguments.verb == "add":
        learner = ip.RLConfig(steps=arguments.steps)
        chosen = Entry(
            retrain=learner,
            on_true_reward=learner,
            seeds=tuple(arguments.seeds),
            demos=arguments.demos,
            episodes=arguments.episodes,
            source=arguments.source,
            licence=arguments.licence,
        )
        add(arguments.id, arguments.run, chosen)
    elif arguments.verb == "true":
        for each in arguments.ids:
            beside_true_reward(each, ENTRIES[each])
    elif arguments.verb == "forms":
        forms(arguments.ids)
    elif arguments.verb == "intervals":
        intervals()
    elif arguments.verb == "cards":
        ip.zoo.write_cards(ZOO)
    else:
        index()
