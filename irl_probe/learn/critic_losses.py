"""Values and losses of continuous critics at batches of steps, in as few passes through the networks as can be."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from irl_probe.learn.actor_critic import ActorCritic, Sampled
from irl_probe.learn.objectives import (
    StepValues,
    bellman_target,
    inverse_soft_bellman,
    least_squares_loss,
    lipschitz_penalty,
)
from irl_probe.learn.replay import Batch


def step_values(
    parts: ActorCritic,
    batches: list[Batch],
    own: Sampled,
    starts: Float[Tensor, "starts width"],
    generator: torch.Generator,
) -> tuple[list[list[StepValues]], Float[Tensor, " starts"]]:
    """Q and V wherever `iq_loss` asks for them, by batch and critic, and V of the initial states.

    `own` are the policy's actions in the batches' states. One pass through the critics, and one through the target
    network where there is one. V(s) is there only for the states that the value term reads; the others' is NaN.
    """
    term, observation_only = parts.config.value_term, parts.config.observation_only
    states = torch.cat([batch.states for batch in batches])
    taken = torch.cat([batch.actions for batch in batches])
    successors = torch.cat([batch.successors for batch in batches])
    starts = starts if term == "initial" else starts[:0]
    with torch.no_grad():
        actions, log_density = parts.sample(torch.cat([starts, successors]), generator)
    first = len(starts)
    valued = len(states) if term == "mixture" else 0 if term == "initial" else len(batches[0])
    drawn = max(valued, len(batches[0])) if observation_only else valued
    blocks = [(states, taken), (states[:drawn], own[0][:drawn]), (starts, actions[:first])]
    following = successors, actions[first:]
    if parts.target is parts.critics:
        q, q_drawn, q_starts, q_next = parts.of_blocks([*blocks, following])
        next_value = parts.bounded(parts.value_from(q_next, log_density[first:]))
    else:
        q, q_drawn, q_starts = parts.of_blocks(blocks)
        next_value = parts.target_value(successors, (actions[first:], log_density[first:]))
    unread = states.new_full((len(states) - valued,), math.nan)
    value = torch.cat([parts.value_from(q_drawn[:, :valued], own[1][:valued]), unread])
    steps, row = [], 0
    for batch in batches:
        rows = slice(row, row + len(batch))
        of_critics = q_drawn[:, rows] if observation_only and row == 0 else q[:, rows]
        after = next_value[rows] * (1 - batch.terminated)
        steps.append([StepValues(one, value[rows], after, batch.terminated) for one in of_critics])
        row += len(batch)
    return steps, parts.value_from(q_starts, log_density[:first])


def regression_loss(
    parts: ActorCritic,
    batches: list[Batch],
    rewards: Float[Tensor, " batch"],
    terminal_value: Float[Tensor, ""] | None,
    generator: torch.Generator,
) -> Float[Tensor, ""]:
    """Q of all the batches' steps regressed on r + γ[(1 − d)·V̄(s′) + d·V_absorbing], averaged over the critics."""
    states, actions, successors, terminated = (
        torch.cat([getattr(batch, name) for batch in batches])
        for name in ("states", "actions", "successors", "terminated")
    )
    (q,) = parts.of_blocks([(states, actions)])
    with torch.no_grad():
        next_value = parts.target_value(successors, parts.sample(successors, generator))
        target = bellman_target(rewards, next_value, terminated, parts.config.gamma, terminal_value)
    return torch.stack([least_squares_loss(one, target) for one in q]).mean()


def lipschitz_loss(
    parts: ActorCritic,
    batches: list[Batch],
    own: Sampled,
    terminal_value: Float[Tensor, ""] | None,
    generator: torch.Generator,
) -> Float[Tensor, ""]:
    """The penalty on ∇r(s, a, s′) by the encoded (s, a, s′), at the expert's steps mixed with the policy's."""
    expert, config = batches[0], parts.config
    taken = own[0][: len(expert)].detach() if config.observation_only else expert.actions
    points = torch.cat([expert.states, taken, expert.successors], dim=-1)
    if len(batches) > 1:
        policy = batches[1]
        share = torch.rand(len(points), 1, generator=generator, dtype=points.dtype)
        partner = torch.randint(len(policy), (len(points),), generator=generator)
        others = torch.cat([policy.states, policy.actions, policy.successors], dim=-1)[partner]
        points = share * points + (1 - share) * others
    points.requires_grad_()
    width = expert.states.shape[1]
    states, actions, successors = points[:, :width], points[:, width:-width], points[:, -width:]
    drawn, log_density = parts.sample(successors, generator)
    q, q_next = parts.of_blocks([(states, actions), (successors, drawn)])
    next_value = parts.value_from(q_next, log_density) * (1 - expert.terminated)
    steps = StepValues(parts.reduced(q), parts.reduced(q), next_value, expert.terminated)
    reward = inverse_soft_bellman(steps, config.gamma, terminal_value)
    (gradient,) = torch.autograd.grad(reward.sum(), points, create_graph=True)
    return lipschitz_penalty(gradient)
