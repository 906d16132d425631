"""IQ-Learn's objective on a tabular MDP with every expectation exact."""

from __future__ import annotations

import torch
from torch import Tensor

from irl_probe._types import Floats
from irl_probe.learn.config import IQConfig
from irl_probe.learn.objectives import StepValues, iq_loss
from irl_probe.metrics.checks import check_distribution, check_transition
from irl_probe.softq import DiscreteQ, learns
from irl_probe.softq.functions import DiscreteSoftQ, soft_value


@learns
def solve_exactly(
    occupancy: Floats,
    transition: Floats,
    config: IQConfig | None = None,
    *,
    others: Floats | None = None,
    sampled: bool = False,
    iterations: int = 2000,
) -> DiscreteSoftQ:
    """argmax_Q J(Q) of IQ-Learn (eq. 9) at an expert's occupancy ρ_E, by L-BFGS in float64.

    J(Q) = E_{ρE}[φ(Q − γE_{s′}V)] − (1 − γ)E_{ρ0}V. The last term is telescoped into E_{ρE}[V(s) − γE_{s′}V(s′)], which
    is the same number at an exact occupancy. Where ρ_E is 0, the demonstrations do not determine Q, and it stays low.

    Args:
        occupancy: ρ_E(s, a), (S, A), sum 1; for example `envs.occupancy` of the expert's policy.
        transition: P(s′ | s, a), (S, A, S).
        config: its divergence, chi2_c, chi2_on, reward targets, γ and α are used; None takes the offline defaults.
        others: another occupancy (S, A), sum 1, for terms that average over a mixture; it constrains Q at the (s, a)
            that the expert never takes.
        sampled: take r at each s′, weighted by P, in place of its mean over s′: the optimum at infinitely many steps of
            a learner that sees one s′ a step. Where P is deterministic it is the same; elsewhere the χ² term has
            γ²·Var V(s′) more (`iq_loss`).
        iterations: the largest number of iterations of L-BFGS.

    Raises ValueError unless the occupancies are distributions over (s, a) and the rows of P over s′.
    """
    resolved = (config or IQConfig(value_term="expert", chi2_on="expert")).resolve(discrete=True, online=False)
    settings, temperature = resolved.settings(), resolved.temperature
    table = check_transition(transition)
    states, actions, _ = table.shape
    p = torch.tensor(table)
    weights = [
        torch.tensor(check_distribution(each, (states, actions), name))
        for each, name in ((occupancy, "occupancy"), (others, "others"))
        if each is not None
    ]
    repeats = states if sampled else 1
    if sampled:
        weights = [each[:, :, None] * p for each in weights]
    rows = torch.zeros(states * actions * repeats, dtype=torch.float64)
    q = torch.zeros(states, actions, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [q], max_iter=iterations, tolerance_grad=1e-12, tolerance_change=0, line_search_fn="strong_wolfe"
    )

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = soft_value(q, temperature)
        following = value.repeat(states * actions) if sampled else (p @ value).flatten()
        own = q.flatten().repeat_interleave(repeats), value.repeat_interleave(actions * repeats)
        steps = [StepValues(*own, following, rows, weight.flatten()) for weight in weights]
        result = iq_loss(steps[0], steps[1] if len(steps) > 1 else None, value[:0], None, settings)
        result.backward()  # type: ignore[no-untyped-call]  # torch gives Tensor.backward no types
        return result

    optimizer.step(loss)  # type: ignore[no-untyped-call]  # torch gives LBFGS.step no types
    return DiscreteSoftQ(DiscreteQ.from_table(q.detach().numpy()), gamma=resolved.gamma, temperature=temperature)
