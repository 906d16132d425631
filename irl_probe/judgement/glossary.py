"""What each name on the page means, in a sentence or two: on hover and focus, and listed at the end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Term:
    """A name as the page writes it, and its definition."""

    label: str
    definition: str


TERMS: Mapping[str, Term] = {
    "recovered": Term(
        "recovered reward",
        "The reward that the learned soft Q-function implies: r = Q(s, a) − γ V(s′), with V the soft value. It "
        "is known "
        "only up to scale, a constant and potential shaping.",
    ),
    "true": Term("true reward", "The environment's own reward. It is used for evaluation only; no learner reads it."),
    "value": Term(
        "soft value", "V(s) = α log Σ exp(Q(s, a)/α) over the actions a: the worth of a state, in units of the reward."
    ),
    "return": Term("true return", "Undiscounted sum of the true reward over one episode, in reward units."),
    "normalised": Term(
        "normalised return",
        "(return − random) / (expert − random): 0 is as good as random actions, 1 as good as the expert.",
    ),
    "interval": Term(
        "interval",
        "The 95 % bootstrap interval, given in brackets. Unless said otherwise whole episodes are resampled, so "
        "that it "
        "says how sure the figure is for this reward, not how another training run would come out.",
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
        "τ_b: share of pairs that both rewards order alike, less those they order unlike; −1 to 1.",
    ),
    "step": Term(
        "step",
        "Single steps: the reward of one transition against the true one. Not invariant to shaping, so it can be "
        "low for a perfect reward.",
    ),
    "partial": Term("partial", "Sums of the reward over stretches of an episode: between the step and the episode."),
    "episode": Term("episode", "Sums of the reward over whole episodes, undiscounted."),
    "raw": Term("raw", "The correlation itself, with nothing controlled for."),
    "constant": Term(
        "constant baseline",
        "The same figure for a reward that is the same at every step and knows nothing of the task. Where episodes "
        "differ in length it follows the length alone: a raw figure no better than this shows nothing.",
    ),
    "length": Term(
        "length controlled",
        "Partial correlation: what is left once the number of steps is taken out of both rewards' sums.",
    ),
    "coverage": Term(
        "coverage",
        "Whose transitions the rewards were compared on: a figure holds for these, not for others.",
    ),
    "epic": Term(
        "EPIC",
        "Pearson distance, 0 to 1, after shaping was removed under a stated distribution of states and actions (Gleave "
        "et al. 2021). Invariant to shaping, scale and constant; not to redistribution over successors.",
    ),
    "dard": Term(
        "DARD",
        "Like EPIC, but shaping is removed along the environment's own transitions (Wulfe et al. 2022); 0 to 1.",
    ),
    "starc_val": Term(
        "STARC (value)",
        "Distance, 0 to 2, of both rewards after subtracting the value of a fixed policy and dividing by the "
        "norm (Skalse "
        "et al. 2024). Invariant to shaping, scale, constant and redistribution over successors.",
    ),
    "starc_val_potential": Term(
        "STARC (value potential)",
        "Like STARC (value) but without the mean over successors; 0 to 2.",
    ),
    "starc_minimal": Term(
        "STARC (minimal)",
        "Like STARC (value), with the least-norm reward of each equivalence class in place of it; 0 to 2.",
    ),
    "ranking": Term(
        "agreement τ",
        "Kendall's τ_b between the order of policies by mean recovered return and by mean true return: 1 is the same "
        "order, −1 the reverse. A constant reward orders them by the length of their episodes.",
    ),
    "erc": Term(
        "ERC",
        "Pearson distance, 0 to 1, of whole episodes' returns (Gleave et al. 2021). Not invariant to shaping, and it "
        "follows length where episodes differ in it.",
    ),
    "npec": Term("NPEC", "Least distance that any potential shaping can reach, 0 to 1 (p = 2)."),
    "regret": Term(
        "regret",
        "True return lost by acting optimally for the recovered reward: 0 is none, 1 is as bad as the worst policy.",
    ),
    "calibration": Term(
        "calibration",
        "What the sampled measure says of rewards whose distance is known: the truth + a shaping should come out at "
        "0, an "
        "independent random reward far off. Where it does not, differences of that size mean nothing.",
    ),
    "scale": Term("scale", "λ times the true reward: the part of the recovered reward that is the truth itself."),
    "potential": Term(
        "shaping", "γΦ(s′) − Φ(s): potential shaping, which changes no optimal policy under any dynamics."
    ),
    "redistribution": Term(
        "redistribution",
        "Moved between successors s′ of one (s, a), with mean zero: changes no policy in these dynamics, but may in "
        "others.",
    ),
    "residual": Term("residual", "What neither scale, shaping nor redistribution explains: the real disagreement."),
    "transfer": Term(
        "transfer",
        "True return of a policy trained on the recovered reward in changed dynamics: 0 is random there, 1 what "
        "policies trained there on the true reward reach with the same budget; where those are poor it may exceed 1. "
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
    "terminal": Term(
        "terminal convention",
        "What follows a terminal step: 'zero' sets V = 0, 'absorbing' the value of staying for ever. It decides "
        "the sign "
        "of surviving.",
    ),
    "expectation": Term(
        "expectation over s′",
        "How the mean over successors was taken: exact, by a resettable simulator, by a model, or not at all (the "
        "observed s′: then it is the per-transition reward).",
    ),
    "reward_kind": Term(
        "kind of reward",
        "Per transition, Q(s, a) − γ V(s′), is log-policy plus shaping; marginal, Q(s, a) − γ E[V(s′)], is the "
        "reward of a "
        "state and action. In a stochastic environment they differ, and EPIC and DARD do not see the second in "
        "the first.",
    ),
}


def term_of(name: str) -> str | None:
    """The key of TERMS for a name as results use it ("none" is "raw"), or None where there is no definition."""
    key = {"none": "raw", "state": "value"}.get(name, name)
    return key if key in TERMS else None
