"""Definitions of the terms on the page. The page shows them on hover and focus, and lists them at its end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Term:
    """A name as the page writes it, and its definition."""

    label: str
    definition: str


def terms() -> list[tuple[str, str]]:
    """All terms as (term, definition), in alphabetical order."""
    return sorted(((term.label, term.definition) for term in TERMS.values()), key=lambda pair: pair[0].lower())


def term_of(name: str) -> str | None:
    """The key of TERMS for a name as results use it ("none" is "raw"), or None if there is no definition."""
    key = {"none": "raw", "state": "value"}.get(name, name)
    return key if key in TERMS else None


TERMS: Mapping[str, Term] = {
    "recovered": Term(
        "recovered reward",
        "The reward that the learned soft Q-function implies: r = Q(s, a) − γ V(s′), with V the soft value. It is "
        "known only up to scale, a constant and potential shaping.",
    ),
    "true": Term("true reward", "The environment's own reward. It is used for evaluation only; no learner reads it."),
    "value": Term(
        "soft value",
        "V(s) = α log Σ exp(Q(s, a)/α) over the actions a: how much a state is worth, in units of the reward.",
    ),
    "return": Term("true return", "Undiscounted sum of the true reward over one episode, in reward units."),
    "normalised": Term(
        "normalised return",
        "(return − random) / (expert − random): 0 is as good as random actions, 1 as good as the expert.",
    ),
    "interval": Term(
        "interval",
        "The 95\u00a0% interval, given in brackets. Unless stated otherwise it is a bootstrap over whole episodes: it "
        "says how certain the figure is for this reward, not how another training run would come out. An interval over "
        "seeds says that: it is Student's t, lengthened for skewness. Fewer than three seeds, or seeds with equal "
        "figures, have none.",
    ),
    "expert": Term("expert", "The policy that made the demonstrations, or the demonstrations' own returns."),
    "learned": Term("learned", "The policy that was learned together with the reward: softmax of Q/α."),
    "retrained": Term(
        "retrained", "A fresh policy trained on the recovered reward only; what counts is the true return it reaches."
    ),
    "bc": Term(
        "behavioural cloning (bc)",
        "A policy fitted to the demonstrated actions by maximum likelihood; no reward.",
    ),
    "random": Term("random", "Actions drawn uniformly: the zero of the normalised return."),
    "pearson": Term(
        "Pearson",
        "Linear correlation, −1 to 1: 1 where one reward is the other times a positive number plus a constant.",
    ),
    "spearman": Term("Spearman", "Correlation of the ranks, −1 to 1: 1 where both rewards order everything alike."),
    "kendall": Term(
        "Kendall",
        "τ_b: share of pairs that both rewards order alike, minus the share that they order differently; −1 to 1.",
    ),
    "step": Term(
        "step",
        "Single steps: the reward of one transition against the true one. Not invariant to shaping, so it can be "
        "low for a perfect reward.",
    ),
    "partial": Term("partial", "Sums of the reward over stretches of an episode: between the step and the episode."),
    "episode": Term("episode", "Sums of the reward over whole episodes, undiscounted; shaping changes them."),
    "control": Term(
        "control",
        "What a correlation is compared with, or corrected for, to see how much of it is episode length: a constant "
        "reward, or length taken out.",
    ),
    "raw": Term("raw", "The correlation itself, with nothing controlled for."),
    "constant": Term(
        "constant baseline",
        "The same figure for a reward that is 1 at every step. If episodes differ in length, it follows the length "
        "alone: a raw figure no better than this shows nothing more. Where episodes end, it is not empty: it asks the "
        "policy to go on, and may be the task itself, as on CartPole.",
    ),
    "length": Term(
        "length controlled",
        "Partial correlation: what is left once the number of steps is taken out of both rewards' sums.",
    ),
    "coverage": Term(
        "coverage",
        "The data that rewards are compared on, named after the policy that made it: expert, learned, random, or a "
        "mixture. A figure holds for this data and not for other data.",
    ),
    "epic": Term(
        "EPIC",
        "Pearson distance, 0 to 1, after shaping was removed under a stated distribution of states and actions "
        "(Gleave et al. 2021). Invariant to shaping and scale, not to redistribution over successors. It uses only "
        "steps that do not end the episode, and there a constant is shaping: it does not see what a constant changes "
        "where episodes end.",
    ),
    "dard": Term(
        "DARD",
        "Like EPIC, but shaping is removed along the environment's own transitions (Wulfe et al. 2022); 0 to 1. Like "
        "EPIC it does not see what a constant changes where episodes end.",
    ),
    "starc_val": Term(
        "STARC (value)",
        "Distance, 0 to 2, of both rewards after subtracting the value of a fixed policy and dividing by the norm "
        "(Skalse et al. 2024). Invariant to shaping, scale and redistribution over successors, and to a constant only "
        "where nothing ends.",
    ),
    "starc_val_potential": Term(
        "STARC (value potential)",
        "Like STARC (value) but without the mean over successors; 0 to 2.",
    ),
    "starc_minimal": Term(
        "STARC (minimal)",
        "Like STARC (value), with the least-norm reward of each equivalence class in place of it; 0 to 2. It too "
        "ignores a constant only where nothing ends.",
    ),
    "ladder": Term("ladder", "A row of policies from bad to good: random, several amounts of noise, learned, expert."),
    "ranking": Term(
        "agreement τ",
        "Kendall's τ_b between the orders of policies by mean recovered and by mean true return: 1 is the same order, "
        "−1 the reverse. Returns are discounted with the reward's own γ and pay its tail at the end; an episode that "
        "a time limit cuts off counts as repeated for ever. So shaping does not matter. Policies whose means differ "
        "by less than a standard error are ties. The undiscounted figure, of plain sums, changes with shaping.",
    ),
    "erc": Term(
        "ERC",
        "Pearson distance, 0 to 1, of whole episodes' undiscounted returns (Gleave et al. 2021). Not invariant to "
        "shaping, and it follows length if episodes differ in length.",
    ),
    "npec": Term("NPEC", "Least distance that any potential shaping can reach, 0 to 1 (p = 2)."),
    "regret": Term(
        "regret",
        "The true return lost by acting optimally for the recovered reward: 0 is none, 1 is as bad as the worst "
        "policy.",
    ),
    "calibration": Term(
        "calibration",
        "What the sampled measure gives for rewards whose distance is known: the truth with shaping as large as the "
        "recovered reward's own value, once and ten times, should be at 0, and an independent random reward far. A "
        "distance whose calibration is above 0.1 is shown as not measured.",
    ),
    "scale": Term("scale", "λ times the true reward: the part of the recovered reward that is the truth itself."),
    "potential": Term(
        "shaping", "γΦ(s′) − Φ(s): potential shaping, which changes no optimal policy under any dynamics."
    ),
    "redistribution": Term(
        "redistribution",
        "Reward that is moved between the successors s′ of one (s, a), with mean zero. It changes no optimal policy in "
        "these dynamics, but may in others.",
    ),
    "residual": Term("residual", "What neither scale, shaping nor redistribution explains: the real disagreement."),
    "transfer": Term(
        "transfer",
        "True return of a policy trained on the recovered reward in changed dynamics: 0 is random there, 1 what "
        "policies trained there on the true reward reach with the same budget; if those are poor, it may exceed 1. "
        "The mean over all changes.",
    ),
    "carried": Term(
        "carried over", "The imitator's own policy in the changed environment, without any training there."
    ),
    "gamma": Term("discount γ", "Weight of the next environment step's value."),
    "temperature": Term(
        "temperature α",
        "The policy is softmax(Q/α), so that the reward is in units of α. It scales everything.",
    ),
    "occupancy": Term(
        "occupancy",
        "How often a policy visits each state and action, discounted by γ and summing to 1. Demonstrations are a "
        "sample of the expert's; in a tabular environment it is known exactly.",
    ),
    "terminal": Term(
        "terminal convention",
        "What follows a terminal step: 'zero' sets V = 0, 'absorbing' sets V to the value of an absorbing state. It "
        "decides whether a positive reward favours staying alive.",
    ),
    "tail": Term(
        "tail",
        "γ times the value of the absorbing state after a terminal step. Under the convention 'absorbing' a learner "
        "that stops there is paid the tail at once; under 'zero' the tail is 0.",
    ),
    "expectation": Term(
        "expectation over s′",
        "How the mean over successors was computed: exactly, by a resettable simulator, by a model, or not at all "
        "(with the observed s′ it is the per-transition reward).",
    ),
    "reward_kind": Term(
        "kind of reward",
        "Per transition, Q(s, a) − γ V(s′), is log-policy plus shaping; marginal, Q(s, a) − γ E[V(s′)], is the reward "
        "of a state and action. In a stochastic environment they differ, and EPIC and DARD do not see the second in "
        "the first.",
    ),
}
