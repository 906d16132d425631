"""The verdict and its four answers: no stronger than their figures, and they say what was not measured."""

import functools
import inspect
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import trees
import xarray as xr

from irl_probe import cli, judgement
from irl_probe.judgement.verdict import RETRAIN_COMMAND, TRANSFER_COMMAND
from irl_probe.results import average_runs, distance_group, new_results, retraining_group, returns_group, stack_runs


def normalised(policies: dict[str, float]) -> xr.DataTree:
    """Results whose policies have these normalised returns, without spread."""
    episodes = {"expert": [1.0, 1.0], "random": [0.0, 0.0]} | {p: [v, v] for p, v in policies.items()}
    return new_results({"returns": returns_group(episodes, episodes, resamples=10)})


def with_correlations(tree: xr.DataTree, **figures: tuple[float, float, float]) -> xr.DataTree:
    """The tree's correlations with Pearson figures on the mixture replaced, by "level_control"."""
    group = tree["correlation"].to_dataset().copy(deep=True)
    for name, bounds in figures.items():
        level, control = name.split("_")
        where = {"level": level, "control": control, "metric": "pearson", "coverage": "noisy expert mixture"}
        group["value"].loc[where] = np.array(bounds)
        group["reason"].loc[where] = "made so" if np.isnan(bounds[0]) else ""
    return new_results({"correlation": group})


def retrained(shares: list[float]) -> xr.DataTree:
    """Results whose policies, one a seed, have these normalised returns after retraining."""
    group = retraining_group([shares], rewards=["iq"], seeds=list(range(len(shares))), normalised=[shares])
    return new_results({"retraining": group})


@pytest.mark.parametrize(
    ("share", "tone", "phrase"),
    [
        (0.95, "good", "usable for retraining in this environment"),
        (0.6, "caution", "only partly usable for retraining"),
        (0.1, "bad", "not usable for retraining"),
        (-0.2, "bad", "not usable for retraining"),
    ],
)
def test_verdict_on_retraining_follows_its_thresholds(share, tone, phrase):
    claim = verdict_on(retrained([share - 0.001, share, share + 0.001])).claims[0]
    assert (claim.tone, claim.phrase) == (tone, phrase)
    assert f"{100 * share:.0f}\u00a0%".replace("-", "−") in claim.sentence


@pytest.mark.parametrize("seeds", [1, 2])
@pytest.mark.parametrize(
    ("share", "word"), [(0.95, "Perhaps"), (0.6, "Perhaps in part"), (0.1, "Not shown"), (-0.2, "Not shown")]
)
def test_one_or_two_seeds_give_a_perhaps_at_most(share, word, seeds):
    """Whatever interval the results may hold, and also if the policies' episodes are all there is."""
    for tree in (retrained([share, share + 0.001][:seeds]), normalised({"retrained": share})):
        if "retraining" in tree:
            bounds = (("reward", "bound"), [[share, share - 0.01, share + 0.01]])
            group = tree["retraining"].to_dataset().assign(normalised_mean=bounds)
            tree["retraining"].dataset = group.assign_coords(bound=["estimate", "low", "high"])
        claim = next(claim for claim in verdict_on(tree).claims if claim.term == "retrained")
        assert (claim.tone, claim.word) == ("caution", word)
        assert "so there is no interval over seeds" in claim.sentence
        assert asked(tree)["Can I retrain on it?"][0] == word


def test_equal_seeds_give_a_perhaps_at_most():
    claim = verdict_on(retrained([1.0, 1.0, 1.0])).claims[0]
    assert (claim.word, claim.tone) == ("Perhaps", "caution")
    assert "each reach 100\u00a0%" in claim.sentence
    assert "equal figures" in claim.sentence


@pytest.mark.parametrize("count", [2, 3])
def test_exact_regrets_of_two_runs_give_a_perhaps_at_most(count):
    runs = {}
    for seed in range(count):
        value = np.full((1, 1, 1, 1, 3), 0.01 + seed / 1e4)
        group = distance_group(
            value, np.full(value.shape[:-1], ""), rewards=["iq"], references=["true"], coverages=["uniform"],
            metrics=["regret"], exact=True,
        )  # fmt: skip
        runs[seed] = new_results({"distance": group})
    tree = average_runs(stack_runs(runs, "seed"))
    claims = {claim.term: claim for claim in verdict_on(tree).claims}
    sure = count >= 3
    assert claims["retrained"].word == ("Yes" if sure else "Perhaps")
    assert claims["regret"].phrase == ("" if sure else "perhaps ") + "small regret under the truth"
    assert claims["regret"].tone == ("good" if sure else "caution")


@pytest.mark.parametrize("seeds", [1, 2])
def test_transfer_of_one_or_two_seeds_is_a_perhaps_at_most(seeds):
    group = trees.full()["transfer"].to_dataset().isel(seed=slice(seeds))
    group["value"][:] = 1.0  # intervals of no width
    group["overall"][:] = 1.0
    short, tone, sentence = asked(new_results({"transfer": group.sel(policy=["random", "iq-chi2", "true reward"])}))[
        "Does it transfer?"
    ]
    assert (short, tone) == ("Perhaps", "caution")
    assert "so there is no interval over seeds" in sentence
    beside = asked(new_results({"transfer": group.sel(policy=["random", "carried over", "iq-chi2", "true reward"])}))
    assert beside["Does it transfer?"][:2] == ("Perhaps in part", "caution")


def test_an_order_of_episodes_without_an_interval_is_a_perhaps_at_most():
    tree = with_correlations(trees.cartpole(), episode_none=(-0.8, np.nan, np.nan))
    claim = next(claim for claim in verdict_on(tree).claims if claim.term == "episode")
    assert (claim.tone, claim.phrase) == ("caution", "perhaps ranks episodes against the truth")


def test_exact_distances_of_one_run_do_not_say_how_another_would_come_out():
    short, _, sentence = asked(trees.gridworld(3))["How sure are we?"]
    assert short == "Not very"
    assert "Distances are exact." in sentence


def test_verdict_is_on_the_reward_from_demonstrations_not_on_the_ideal_one_beside_it():
    verdict = verdict_on(trees.gridworld(3))
    assert verdict.reward == "30 demonstrations"
    assert "best of" not in verdict.headline
    assert "0.04" in next(claim.sentence for claim in verdict.claims if claim.term == "regret")


def verdict_on(tree: xr.DataTree) -> judgement.Verdict:
    return judgement.judge(judgement.read(tree))


def asked(tree: xr.DataTree) -> dict[str, tuple[str, str, str]]:
    """Question → short answer, tone and sentence."""
    figures = judgement.read(tree)
    found = judgement.answers(figures, judgement.judge(figures))
    return {answer.question: (answer.short, answer.tone, answer.sentence) for answer in found}


def test_the_four_questions_are_answered_from_the_figures():
    found = asked(trees.full())
    assert list(found) == [
        "Which reward is best?",
        "Can I retrain on it?",
        "Does it transfer?",
        "How sure are we?",
    ]
    short, tone, sentence = found["Which reward is best?"]
    assert (short, tone) == ("“iq-chi2”, clearly", "good")
    assert "0.97 [0.95, 0.99]; next comes “iq-kl” with 0.85" in sentence
    assert found["Can I retrain on it?"][:2] == ("Yes", "good")
    short, tone, sentence = found["Does it transfer?"]
    assert (short, tone) == ("Probably", "caution")  # the interval reaches below .9
    assert "reaches 92\u00a0% [88, 96]" in sentence
    assert "carried over unchanged, reaches 55\u00a0%" in sentence
    assert "Worst of 3 changes: mass ×2, 90\u00a0%" in sentence
    short, tone, sentence = found["How sure are we?"]
    assert (short, tone) == ("Fairly", "caution")
    assert (
        "one training run of each reward; of “iq-chi2”: retraining, 3 seeds; transfer, 3 seeds and 3 changes; "
        "agreement, 30 episodes on each kind of data." in sentence
    )
    assert "In changed dynamics (3 changes, 3 seeds) a policy" in found["Does it transfer?"][2]
    _, _, bare = asked(normalised({"learned": 1.0}))["How sure are we?"]
    assert "retraining, not measured; transfer, not measured; agreement, not measured." in bare


def test_the_answers_say_what_was_not_measured():
    unmeasured = asked(normalised({"learned": 1.0}))["Can I retrain on it?"]
    assert "“irl-probe retrain-study REWARD --env ENV --out DIR” measures it." in unmeasured[2]
    found = asked(new_results({}))
    assert found["Which reward is best?"][0] == "None here"
    assert found["Can I retrain on it?"][0] == "Not measured"
    assert found["How sure are we?"][0] == "Not very"


@pytest.mark.parametrize("command", [RETRAIN_COMMAND, TRANSFER_COMMAND])
def test_the_commands_that_would_measure_it_are_commands(command, monkeypatch):
    prog, verb, *arguments = command.split()
    taken = {}
    names = list(inspect.signature(cli.VERBS[verb]).parameters)
    recorder = functools.wraps(cli.VERBS[verb])(lambda *a, **named: taken.update(zip(names, a, strict=False), **named))
    monkeypatch.setitem(cli.VERBS, verb, recorder)
    monkeypatch.setattr(sys, "argv", [prog, verb, *arguments])
    cli.main()
    assert (taken["env"], taken["out"]) == ("ENV", Path("DIR"))


def test_overlapping_intervals_do_not_make_a_clear_lead():
    tree = trees.many(steps=400, episodes=4, rewards=2, metrics=("pearson",))
    tree["retraining"]["normalised_mean"].loc[{"reward": "reward-1"}] = [0.9, 0.85, 1.05]
    short, tone, sentence = asked(tree)["Which reward is best?"]
    assert (short, tone) == ("“reward-0”, by a little", "caution")
    assert "overlap: another run may reverse the order" in sentence


def test_a_transfer_no_better_than_the_carried_policy_is_partial():
    tree = trees.full()
    tree["transfer"]["overall"].loc[{"policy": "carried over"}] = [0.95, 0.9, 1.0]
    assert "transferable, but no better than the policy it came from" in verdict_on(tree).headline
    assert asked(tree)["Does it transfer?"][0] == "In part"
    tree["transfer"]["overall"].loc[{"policy": "iq-chi2"}] = [0.2, 0.1, 0.3]
    assert "not transferable" in verdict_on(tree).headline


def test_if_even_the_true_reward_fails_in_changed_dynamics_transfer_is_not_measured():
    tree = trees.full()
    transfer = tree["transfer"].to_dataset().drop_vars("overall")
    transfer["value"][:], transfer["reason"][:] = np.nan, "Training there was no better than random."
    tree = new_results({"correlation": tree["correlation"].to_dataset(), "transfer": transfer})
    short, tone, sentence = asked(tree)["Does it transfer?"]
    assert (short, tone) == ("Not measured", "open")
    assert "training on the true reward itself was no better than random actions" in sentence


def test_the_only_reward_is_known_to_transfer_under_the_name_recovered():
    transfer = trees.full()["transfer"].to_dataset().sel(policy=["random", "iq-chi2", "true reward"])
    transfer = transfer.assign_coords(policy=["random", "recovered", "true reward"])
    tree = new_results({"correlation": trees.correlations({"a": POINTS}), "transfer": transfer})
    assert "reaches 92\u00a0% [88, 96]" in asked(tree)["Does it transfer?"][2]
    assert verdict_on(tree).reward == "iq"


def test_rewards_whose_figures_look_equal_are_not_distinguishable():
    tree = trees.many(steps=400, episodes=4, rewards=2, metrics=("pearson",))
    del tree["correlation"], tree["points"]
    tree["retraining"]["normalised_mean"][:] = [[0.971, 0.97, 0.972], [0.968, 0.967, 0.969]]
    assert asked(tree)["Which reward is best?"][0] == "“reward-0”, not distinguishable"


def test_many_runs_make_it_well_supported():
    tree = trees.many(steps=400, episodes=4, rewards=1, metrics=("pearson",))
    averaged = average_runs(stack_runs(dict.fromkeys(range(5), tree), "seed"))
    short, tone, sentence = asked(averaged)["How sure are we?"]
    assert (short, tone) == ("Well supported", "good")
    assert "rests on 5 training runs: retraining, 25 seeds" in sentence


def test_transfer_of_another_reward_is_reported_as_that_of_another():
    transfer = trees.full()["transfer"].to_dataset().sel(policy=["random", "iq-chi2", "true reward"])
    correlations = trees.correlations({"a": POINTS, "b": POINTS})
    short, _, sentence = asked(new_results({"correlation": correlations, "transfer": transfer}))["Does it transfer?"]
    assert short == "Not measured"
    assert (
        "No policy was trained on it in changed dynamics. The section on transfer is about others: “iq-chi2”"
        in sentence
    )


def test_one_change_has_one_figure():
    transfer = trees.full()["transfer"].to_dataset().isel(variant=[0, 1])
    tree = new_results({"transfer": transfer})
    assert transfer["overall"].sel(policy="iq-chi2", bound="estimate") != 0.93  # as it was stored
    assert "reaches 93\u00a0% [89, 97]" in asked(tree)["Does it transfer?"][2]
    assert "(one change, 3 seeds)" in asked(tree)["Does it transfer?"][2]


def test_seeds_with_equal_figures_are_not_shown_as_exact():
    tree = trees.full()
    tree["transfer"]["overall"].loc[{"policy": "carried over"}] = 0.55
    assert "carried over unchanged, reaches 55\u00a0% [55, 55]." in asked(tree)["Does it transfer?"][2]
    tree["transfer"].attrs["exact"] = 1
    assert "carried over unchanged, reaches 55\u00a0%." in asked(tree)["Does it transfer?"][2]


POINTS = trees.points(np.random.default_rng(0), np.array([5, 7, 9]), {"iq": 0.5})


def test_verdict_says_what_was_not_measured():
    verdict = verdict_on(normalised({"learned": 1.0}))
    assert verdict.headline == "Retraining not measured; the learned policy imitates the expert."
    assert verdict_on(new_results({})).headline.startswith("Retraining not measured")


@pytest.mark.parametrize(
    ("raw", "constant", "controlled", "phrase"),
    [
        ((0.99, 0.98, 1.0), 0.98, (0.6, 0.5, 0.7), "mostly length"),
        ((0.9, 0.8, 0.95), 0.5, (0.2, 0.1, 0.3), "mostly length"),
        ((0.9, 0.8, 0.95), 0.5, (0.5, -0.1, 0.8), "may be no more than length"),
        ((0.8, 0.7, 0.9), 0.99, (np.nan,) * 3, "mostly length"),
        ((0.99, 0.98, 1.0), -0.98, (0.6, 0.5, 0.7), "mostly length"),  # rewards of −1 a step
        ((0.9, 0.8, 0.95), 0.3, (0.8, 0.7, 0.9), "strong beyond length"),
        ((0.99, 0.98, 1.0), 0.98, (0.6, 0.5, 0.7), "mostly length, with moderate agreement beyond it"),
        ((0.91, 0.61, 0.97), 1.0, (0.53, 0.35, 0.8), "moderate beyond length"),  # Hopper: not strong
        ((0.8, 0.7, 0.9), 0.9, (0.8, 0.4, 0.9), "at least moderate beyond length"),
        ((0.8, 0.7, 0.9), 0.6, (0.8, 0.1, 0.9), "weak to strong beyond length"),
        ((0.6, 0.5, 0.7), 0.9, (0.8, 0.7, 0.9), "agreement is moderate."),  # worse than a constant
        ((0.6, 0.5, 0.7), np.nan, (0.6, 0.5, 0.7), "episode-level agreement is moderate."),
        ((-0.6, -0.7, -0.5), 0.9, (-0.2, -0.3, 0.1), "against the truth"),
        ((0.1, 0.0, 0.2), 0.0, (0.1, 0.0, 0.2), "weak"),
    ],
)
def test_the_verdict_separates_length_from_agreement(raw, constant, controlled, phrase):
    tree = with_correlations(
        trees.cartpole(), episode_none=raw, episode_constant=(constant,) * 3, episode_length=controlled
    )
    assert phrase in verdict_on(tree).headline


@pytest.mark.parametrize(
    ("raw", "phrase"),
    [
        ((0.8, 0.75, 0.9), "agrees with the truth"),
        ((0.8, 0.6, 0.9), "is at least moderate"),
        ((0.8, np.nan, np.nan), "is strong by a figure without an interval"),
        ((0.5, 0.4, 0.6), "is moderate"),
        ((0.5, -0.1, 0.8), "is unclear"),
        ((0.1, 0.05, 0.2), "is weak"),
        ((0.1, -0.1, 0.2), "is weak or absent"),
        ((-0.1, -0.2, -0.05), "is weakly contrary"),
        ((-0.5, -0.6, -0.1), "is contrary, perhaps only weakly"),
        ((-0.5, -0.6, -0.4), "contrary to the truth"),
    ],
)
def test_verdict_on_steps_is_no_stronger_than_its_interval(raw, phrase):
    claim = next(c for c in verdict_on(with_correlations(trees.cartpole(), step_none=raw)).claims if c.term == "step")
    assert phrase in claim.phrase
    assert claim.tone == {0.75: "good", -0.6: "bad" if raw[2] < -0.3 else "caution"}.get(raw[1], "caution")


@pytest.mark.parametrize(
    ("bounds", "word", "phrase"),
    [
        ((0.97, 0.92, 1.0), "Yes", "usable for retraining in this environment"),
        ((0.97, 0.7, 1.0), "Probably", "probably usable for retraining in this environment"),
        ((0.97, 0.2, 1.0), "Perhaps", "perhaps usable for retraining in this environment"),
        ((0.97, np.nan, np.nan), "Perhaps", "perhaps usable for retraining in this environment"),
        ((0.7, 0.6, 0.8), "In part", "only partly usable for retraining"),
        ((0.8, 0.6, 1.0), "At least in part", "partly usable for retraining"),
        ((0.7, 0.2, 1.0), "Perhaps in part", "perhaps partly usable for retraining"),
        ((0.2, 0.1, 0.3), "No", "not usable for retraining"),
        ((0.4, 0.1, 0.8), "Not shown", "not shown to be usable for retraining"),
    ],
)
def test_answer_on_retraining_is_no_stronger_than_its_interval(bounds, word, phrase):
    tree = trees.many(steps=400, episodes=4, rewards=1, metrics=("pearson",))
    tree["retraining"]["normalised_mean"][:] = np.array(bounds)
    found = next(claim for claim in verdict_on(tree).claims if claim.term == "retrained")
    assert found.phrase == phrase
    assert asked(tree)["Can I retrain on it?"][0] == word
    assert (found.tone == "good") is (word == "Yes")
    assert (found.tone == "bad") is (word == "No")


def test_the_lead_is_clear_only_if_it_is_clear_over_all_the_others():
    tree = trees.many(steps=400, episodes=4, rewards=3, metrics=("pearson",))
    tree["retraining"]["normalised_mean"][:] = [[0.95, 0.9, 1.0], [0.8, 0.75, 0.85], [0.7, 0.1, 1.0]]
    short, _, sentence = asked(tree)["Which reward is best?"]
    assert short == "“reward-0”, by a little"
    assert "overlaps those of “reward-2”" in sentence
    assert "“reward-0” leads 3 rewards, though not beyond doubt" in verdict_on(tree).headline


def test_if_two_figures_look_equal_the_next_figure_decides_the_order():
    tree = trees.many(steps=400, episodes=4, rewards=2, metrics=("pearson",))
    tree["retraining"]["normalised_mean"][:] = [[0.998, 0.99, 1.0], [1.0, 0.99, 1.0]]  # .998 reads as 1.00
    where = {"level": "episode", "control": "length", "metric": "pearson", "coverage": "noisy expert mixture"}
    tree["correlation"]["value"].loc[where | {"reward": "reward-0"}] = [0.9, 0.8, 0.95]
    tree["correlation"]["value"].loc[where | {"reward": "reward-1"}] = [0.2, 0.1, 0.3]
    short, _, sentence = asked(tree)["Which reward is best?"]
    assert short == "“reward-0”, clearly"
    assert "By length-controlled episode Pearson: 0.90" in sentence


def test_many_runs_with_a_wide_interval_are_not_well_supported():
    tree = trees.many(steps=400, episodes=4, rewards=1, metrics=("pearson",))
    averaged = average_runs(stack_runs(dict.fromkeys(range(5), tree), "seed"))
    averaged["retraining"]["normalised_mean"][:] = [0.95, 0.3, 1.0]
    short, _, sentence = asked(averaged)["How sure are we?"]
    assert short == "Fairly"
    assert "Its interval leaves open how well retraining works." in sentence


def test_distance_is_judged_apart_from_shaping():
    tree = trees.gridworld()
    claim = next(c for c in verdict_on(tree).claims if c.term == "starc_minimal")
    assert claim.phrase == "agreement apart from shaping is strong"  # .28: a cosine of .96
    tree["distance"]["value"].loc[{"metric": "starc_minimal"}] = np.array([1.49, 1.41, 1.96])
    assert next(c for c in verdict_on(tree).claims if c.term == "starc_minimal").phrase.endswith("is unclear")


def test_rewards_shown_beside_the_saved_one_are_named_and_not_judged():
    tree = trees.gridworld()
    tree.attrs["beside"] = json.dumps({"exact occupancy": "the most that could be had"})
    tree["distance"] = tree["distance"].to_dataset().assign_coords(reward=["30 demonstrations", "exact occupancy"])
    verdict = verdict_on(tree)
    assert verdict.reward == "30 demonstrations"
    short, _, sentence = asked(tree)["Which reward is best?"]
    assert short == "“30 demonstrations”"
    assert sentence.startswith("It is the one that was saved. Shown beside it, for comparison only: “exact occupancy”")
    short, _, sentence = asked(tree)["Can I retrain on it?"]
    assert short == "Yes"
    assert "optimal for it loses 0.04 of the true return at stake" in sentence
