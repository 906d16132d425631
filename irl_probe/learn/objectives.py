"""The critic objectives of inverse soft Q-learning, as pure functions of Q and V at a batch of steps.

Every function takes tensors that an engine has computed (discrete or continuous alike) and returns a scalar loss or a
tensor of rewards. Notation of Garg et al. 2021 (IQ-Learn, arXiv 2106.12142): ρ_E the expert's steps, ρ_0 the
initial states, φ the concave function of a divergence, r = Q(s, a) − γV(s′).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from irl_probe._config import check_option
from irl_probe.learn.config import Divergence, IQSettings, ValueTerm

TV_STIFFNESS = 10.0  # how hard the wall at |r| = r_max is; the optimum overshoots it by at most 1/(2·stiffness)


@dataclass(frozen=True)
class SecondSuccessor:
    """V at another s′ ~ P(·|s, a), independent of the first; both (batch,), as in `StepValues`."""

    next_value: Float[Tensor, " batch"]
    terminated: Float[Tensor, " batch"]


@dataclass(frozen=True)
class StepValues:
    """What the objectives need of a batch of steps, each (batch,).

    Attributes:
        q: Q(s, a).
        value: V(s).
        next_value: V(s′), which is 0 where the step terminated.
        terminated: 1 where the step terminated, else 0.
        weight: each step's weight in an expectation, with sum 1; None weights all steps equally.
        second: of another s′ of the same (s, a), for products r₁r₂ in place of squares; None squares.
    """

    q: Float[Tensor, " batch"]
    value: Float[Tensor, " batch"]
    next_value: Float[Tensor, " batch"]
    terminated: Float[Tensor, " batch"]
    weight: Float[Tensor, " batch"] | None = None
    second: SecondSuccessor | None = None

    def mean(self, values: Float[Tensor, " batch"]) -> Float[Tensor, ""]:
        """The expectation of a value that each step has."""
        return values.mean() if self.weight is None else self.weight @ values


def inverse_soft_bellman(
    steps: StepValues, gamma: float, terminal_value: Float[Tensor, ""] | None = None
) -> Float[Tensor, " batch"]:
    """r(s, a, s′) = Q(s, a) − γ[(1 − d)·V(s′) + d·V_absorbing]  (IQ-Learn eq. 6, at one sampled s′).

    In reward units per step. `terminal_value` is V_absorbing; None is the convention `zero`, V = 0 after termination.

    Where s′ is a matter of chance, r is an unbiased sample of the marginal reward Q(s, a) − γE[V(s′)], but a nonlinear
    function of r is not one of that function: E[r²] is larger than the square of the marginal by γ²·Var V(s′).
    """
    reward = torch.add(steps.q, steps.next_value, alpha=-gamma)
    return reward if terminal_value is None else reward - gamma * steps.terminated * terminal_value


def phi(
    reward: Float[Tensor, "*batch"],
    divergence: Divergence,
    *,
    c: float = 0.5,
    r_max: float = 1.0,
    max_weight: float = 10.0,
) -> Float[Tensor, "*batch"]:
    """The concave φ of a divergence (IQ-Learn Table 3 and App. B, C), elementwise.

    chi2       r − r²/(4c)
    kl         1 − e^{−r}
    hellinger  r/(1 + r), for r > −1
    js         log(2 − e^{−r}), for r > −log 2
    tv         r, for |r| ≤ r_max; beyond it r minus a quadratic wall, a differentiable form of the constraint
    w1         r; the gradient penalty keeps r 1-Lipschitz

    φ′ is the weight of an expert step. For kl, hellinger and js it grows without bound as r falls. Below the r at which
    it reaches `max_weight`, φ is replaced by its tangent there. This keeps φ concave and differentiable, defines it on
    all reals, and does not move an optimum whose weights stay below `max_weight`.

    Raises ValueError for an unknown divergence (the reference code continues with φ′ = 1).
    """
    check_option(divergence, Divergence, "The divergence")
    if divergence == "chi2":
        return reward - reward.square() / (4 * c)
    if divergence == "w1":
        return reward
    if divergence == "tv":
        return reward - TV_STIFFNESS * torch.relu(reward.abs() - r_max).square()
    if divergence == "kl":
        inside = reward.clamp(min=-math.log(max_weight))
        curve = 1 - torch.exp(-inside)
    elif divergence == "hellinger":
        inside = reward.clamp(min=max_weight**-0.5 - 1)
        curve = inside / (1 + inside)
    else:
        inside = reward.clamp(min=-math.log(2 * max_weight / (1 + max_weight)))
        curve = torch.log(2 - torch.exp(-inside))
    return curve + max_weight * (reward - inside)


def value_term(
    kind: ValueTerm,
    expert: StepValues,
    policy: StepValues | None,
    initial_value: Float[Tensor, " starts"],
    gamma: float,
) -> Float[Tensor, ""]:
    """(1 − γ)E_{ρ0}[V(s0)], or what telescopes to it: E_μ[V(s) − γV(s′)] for any occupancy μ  (IQ-Learn App. A).

    initial        (1 − γ) mean V(s0) over initial states
    expert         mean of V(s) − γV(s′) over expert steps; V(s′) = 0 after a terminal step
    mixture        the same over expert and policy steps, half and half
    expert_states  (1 − γ) mean V(s) over expert states; not an estimate of `initial`; the reference code calls it v0

    After a terminal step an absorbing state's V cancels in the telescoped sum, so both terminal conventions agree here.

    Raises ValueError for an unknown kind, or for `mixture` without policy steps.
    """
    check_option(kind, ValueTerm, "The value term")
    if kind == "initial":
        return (1 - gamma) * initial_value.mean()
    if kind == "expert_states":
        return (1 - gamma) * expert.mean(expert.value)
    expert_term = expert.mean(torch.add(expert.value, expert.next_value, alpha=-gamma))
    if kind == "expert":
        return expert_term
    if policy is None:
        raise ValueError(
            "The value term 'mixture' needs steps of the policy: give an env, or use 'expert' or 'initial'."
        )
    policy_term = policy.mean(torch.add(policy.value, policy.next_value, alpha=-gamma))
    return 0.5 * (expert_term + policy_term)


def mean_over_steps(
    function: Callable[[Tensor], Tensor],
    steps: StepValues,
    gamma: float,
    terminal_value: Float[Tensor, ""] | None,
) -> Float[Tensor, ""]:
    """E_μ[f(r)] over a batch of steps, and over the steps in the absorbing state where there is one.

    A step into the absorbing state is followed by γ/(1 − γ) discounted steps there, each of reward (1 − γ)·V_absorbing;
    each counts like a step of the batch. `terminal_value` None is the convention `zero`, which has no such steps.
    """
    reward = inverse_soft_bellman(steps, gamma, terminal_value)
    if terminal_value is None:
        return steps.mean(function(reward))
    absorbing = function((1 - gamma) * terminal_value)
    return steps.mean(function(reward) + steps.terminated * gamma / (1 - gamma) * absorbing)


def squared_gap(
    steps: StepValues, target: float, gamma: float, terminal_value: Float[Tensor, ""] | None
) -> Float[Tensor, ""]:
    """E_μ[(r − target)²] as in `mean_over_steps`; with a second s′ the square is (r₁ − target)(r₂ − target).

    The two s′ are independent, so the product's mean is the square of the marginal reward's gap (double sampling; Baird
    1995, §6). The product of one step can be negative.
    """
    if steps.second is None:
        return mean_over_steps(lambda r: (r - target).square(), steps, gamma, terminal_value)
    other = replace(steps, next_value=steps.second.next_value, terminated=steps.second.terminated)
    first, second = (inverse_soft_bellman(each, gamma, terminal_value) - target for each in (steps, other))
    product = first * second
    if terminal_value is not None:
        ends = (steps.terminated + steps.second.terminated) / 2
        product = product + ends * gamma / (1 - gamma) * ((1 - gamma) * terminal_value - target).square()
    return steps.mean(product)


def iq_loss(
    expert: StepValues,
    policy: StepValues | None,
    initial_value: Float[Tensor, " starts"],
    terminal_value: Float[Tensor, ""] | None,
    settings: IQSettings,
) -> Float[Tensor, ""]:
    """−J(Q) = −E_{ρE}[φ(r)] + value term + (1/4c)·E_μ[(r − r_target)²]  (IQ-Learn eq. 9, with LS-IQ's targets).

    Only χ² has the last term, and with it φ(r) = r. μ is the expert's steps (`chi2_on` = expert; with target 0 this is
    φ(r) = r − r²/4c) or expert and policy steps half and half (mixture). The φ of the other divergences includes their
    regulariser.

    The paper's r is the marginal Q − γE[V(s′)]; here it is taken at one sampled s′. Where s′ is a matter of chance this
    adds γ²·E_μ[Var V(s′)]/(4c) to the χ² term, which pulls the values of the successors of a step together (and −½φ″
    times γ²·Var V(s′), to second order, to those of kl, hellinger, js and tv). With `StepValues.second` the χ² term has
    no such bias (`squared_gap`).

    Raises ValueError where an option needs policy steps and there are none.
    """
    gamma = settings.gamma
    values = value_term(settings.value_term, expert, policy, initial_value, gamma)

    def mean(function: Callable[[Tensor], Tensor], steps: StepValues) -> Tensor:
        return mean_over_steps(function, steps, gamma, terminal_value)

    if settings.divergence != "chi2":
        return values - mean(
            lambda r: phi(r, settings.divergence, r_max=settings.reward_bound, max_weight=settings.max_weight), expert
        )

    def penalty(steps: StepValues, target: float) -> Tensor:
        return squared_gap(steps, target, gamma, terminal_value) / (4 * settings.chi2_c)

    expert_target, policy_target = settings.reward_targets
    gain, regulariser = mean(lambda r: r, expert), penalty(expert, expert_target)
    if settings.chi2_on == "mixture":
        if policy is None:
            raise ValueError("chi2_on='mixture' needs steps of the policy: give an env, or use chi2_on='expert'.")
        regulariser = 0.5 * (regulariser + penalty(policy, policy_target))
    return values - gain + regulariser


def cloning_loss(q: Float[Tensor, " batch"], value: Float[Tensor, " batch"], temperature: float) -> Float[Tensor, ""]:
    """Behavioural cloning with the soft policy: −E_{ρE}[log π(a|s)], log π = (Q(s, a) − V(s))/α."""
    return -((q - value) / temperature).mean()


def policy_loss(
    log_density: Float[Tensor, " batch"], q: Float[Tensor, " batch"], temperature: float | Tensor
) -> Float[Tensor, ""]:
    """E_s[α log π(ã|s) − Q(s, ã)], ã ~ π by reparameterisation  (Haarnoja et al. 2018, eq. 7): minus the mean of V."""
    return (temperature * log_density - q).mean()


def temperature_loss(
    log_temperature: Float[Tensor, ""], log_density: Float[Tensor, " batch"], entropy_target: float
) -> Float[Tensor, ""]:
    """log α · (E[−log π] − target): α grows while the policy's entropy is below its target, in nats.

    Haarnoja et al. 2018b (arXiv 1812.05905), eq. 18, with log α in place of the leading α, as in their code. The
    density is not differentiated.
    """
    return log_temperature * (-log_density.detach().mean() - entropy_target)


def bellman_target(
    reward: Float[Tensor, " batch"],
    next_value: Float[Tensor, " batch"],
    terminated: Float[Tensor, " batch"],
    gamma: float,
    terminal_value: Float[Tensor, ""] | None = None,
) -> Float[Tensor, " batch"]:
    """r + γ[(1 − d)·V̄(s′) + d·V_absorbing], not differentiated; V̄ is the target network's.

    `terminal_value` is V_absorbing; None is the convention `zero`, V = 0 after termination.
    """
    following = (1 - terminated) * next_value
    if terminal_value is not None:
        following = following + terminated * terminal_value
    return (reward + gamma * following).detach()


def least_squares_loss(q: Float[Tensor, " batch"], target: Float[Tensor, " batch"]) -> Float[Tensor, ""]:
    """Soft Bellman error: ½E[(Q(s, a) − target)²]  (Haarnoja et al. 2018, eq. 5).

    Its optimum at (s, a) is the mean of the targets, so that the fixed point is the soft Bellman equation, also where
    rewards, successors or ends are random. That of Huber's loss (DQN, Mnih et al. 2015) is not: it tends to the median,
    which ignores what is rare, such as a large prize or a fall.

    With labels r = ±1/c it is LS-IQ (Al-Hafez et al. 2023): IQ-Learn's E_E[r] − E_π[r] − (c/2)·E_{E∪π}[r²] with the
    square completed, and V(s′) of the target network; with 1 and 0, SQIL (Reddy et al. 2020).
    """
    return 0.5 * functional.mse_loss(q, target)


def lipschitz_penalty(gradient: Float[Tensor, "batch width"]) -> Float[Tensor, ""]:
    """One-sided penalty E[max(0, ‖∇r‖ − 1)²] that keeps r 1-Lipschitz  (Petzka et al. 2018).

    It penalises the gradient of r itself; the reference code penalises that of Q, and so bounds another function.
    """
    return torch.relu(gradient.norm(dim=-1) - 1).square().mean()
