"""IQ-Learn's objective on a tabular MDP with every expectation exact."""

from __future__ import annotations

import torch
from torch import Tensor

from irl_probe._types import Floats
from irl_probe.learn.config import IQConfig
from irl_probe.learn.objectives import StepValues, iq_loss
from irl_probe.softq import DiscreteQ
from irl_probe.softq.functions import DiscreteSoftQ, soft_value


def solve_exactly(
    occupancy: Floats,
    transition: Floats,
    config: IQConfig | None = None,
    *,
    others: Floats | None = None,
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
        iterations: the largest number of iterations of L-BFGS.
    """
    resolved = (config or IQConfig(value_term="expert", chi2_on="expert")).resolve(discrete=True, online=False)
    settings, temperature = resolved.settings(), resolved.temperature
    weight, p = torch.tensor(occupancy).flatten(), torch.tensor(transition)
    states, actions = occupancy.shape
    q = torch.zeros(states, actions, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [q], max_iter=iterations, tolerance_grad=1e-12, tolerance_change=0, line_search_fn="strong_wolfe"
    )

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = soft_value(q, temperature)
        values = q.flatten(), value.repeat_interleave(actions), (p @ value).flatten(), torch.zeros_like(weight)
        policy = None if others is None else StepValues(*values, torch.tensor(others).flatten())
        result = iq_loss(StepValues(*values, weight), policy, value[:0], None, settings)
        result.backward()  # type: ignore[no-untyped-call]  # torch gives Tensor.backward no types
        return result

    optimizer.step(loss)  # type: ignore[no-untyped-call]  # torch gives LBFGS.step no types
    return DiscreteSoftQ(DiscreteQ.from_table(q.detach().numpy()), gamma=resolved.gamma, temperature=temperature)
