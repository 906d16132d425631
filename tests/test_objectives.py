"""The objectives' equations, on values that can be worked out by hand."""

import math
from inspect import unwrap

import numpy as np
import pytest
import torch
from jaxtyping import TypeCheckError

from irl_probe.learn.objectives import (
    IQSettings,
    StepValues,
    bellman_target,
    cloning_loss,
    inverse_soft_bellman,
    iq_loss,
    least_squares_loss,
    lipschitz_penalty,
    mean_over_steps,
    phi,
    value_term,
)

DIVERGENCES = ["chi2", "kl", "hellinger", "js", "tv", "w1"]
GAMMA = 0.9


def numbers(*values):
    return torch.tensor(values, dtype=torch.float64)


def some_steps(seed=0, count=12, terminated=0.3):
    draw = torch.Generator().manual_seed(seed)
    q, v, v2 = torch.randn(3, count, generator=draw, dtype=torch.float64)
    d = (torch.rand(count, generator=draw, dtype=torch.float64) < terminated).double()
    return StepValues(q, v, v2 * (1 - d), d)


def test_the_shapes_of_the_tensor_code_are_checked_while_tests_run():
    with pytest.raises(TypeCheckError, match="cloning_loss"):
        cloning_loss(numbers(1.0, 2.0), numbers(1.0), 0.5)


@pytest.mark.parametrize(
    ("divergence", "r", "value"),
    [
        ("chi2", 1.0, 1 - 1 / (4 * 0.5)),
        ("kl", 1.0, 1 - math.exp(-1)),
        ("hellinger", 1.0, 0.5),
        ("js", 1.0, math.log(2 - math.exp(-1))),
        ("tv", 0.5, 0.5),
        ("w1", 3.0, 3.0),
    ],
)
def test_phi_has_the_papers_values(divergence, r, value):
    assert phi(numbers(r), divergence).item() == pytest.approx(value, abs=1e-12)


@pytest.mark.parametrize("divergence", DIVERGENCES)
def test_phi_starts_at_zero_with_slope_one_and_is_concave_everywhere(divergence):
    r = torch.linspace(-5, 5, 2001, dtype=torch.float64, requires_grad=True)
    values = phi(r, divergence)
    (slope,) = torch.autograd.grad(values.sum(), r)
    middle = len(r) // 2
    assert values[middle].item() == pytest.approx(0, abs=1e-12)
    assert slope[middle].item() == pytest.approx(1, abs=1e-12)
    assert torch.isfinite(values).all()
    assert (slope.diff() <= 1e-12).all()


@pytest.mark.parametrize("divergence", ["kl", "hellinger", "js"])
def test_phi_follows_its_tangent_beyond_the_largest_weight(divergence):
    r = torch.linspace(-4, 1, 5001, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(phi(r, divergence, max_weight=7.0).sum(), r)
    assert slope.max().item() == pytest.approx(7.0, abs=1e-9)
    assert slope.diff().abs().max() < 0.2  # no jump: the tangent meets the curve


def test_a_misspelt_divergence_raises_with_the_near_miss():
    with pytest.raises(ValueError, match="Did you mean 'hellinger'"):
        unwrap(phi)(numbers(0.0), "helinger")  # without the tests' own type checker, as users call it
    with pytest.raises(ValueError, match="must be one of"):
        unwrap(value_term)("v0", some_steps(), None, numbers(0.0), GAMMA)


def test_value_terms_agree_at_an_occupancy():
    """On a chain s0 → s1 → s1 ... with discounted weights, E[V(s) − γV(s′)] = (1 − γ)V(s0)."""
    v = numbers(2.0, -5.0)
    weight = numbers(1 - GAMMA, GAMMA)
    steps = StepValues(numbers(0, 0), v, v[[1, 1]], numbers(0, 0), weight)
    other = StepValues(numbers(0, 0), v, v[[1, 1]], numbers(0, 0), weight)
    expected = (1 - GAMMA) * 2.0
    for kind in ("initial", "expert", "mixture"):
        assert value_term(kind, steps, other, v[:1], GAMMA).item() == pytest.approx(expected, abs=1e-12)
    assert value_term("expert_states", steps, None, v[:1], GAMMA).item() != pytest.approx(expected)


def test_the_steps_in_the_absorbing_state_count_like_listed_ones():
    """The closed tail γ/(1 − γ)·f((1 − γ)V_abs) is the discounted sum over the steps spent in the absorbing state."""
    steps, end = some_steps(), numbers(1.7)[0]
    r = inverse_soft_bellman(steps, GAMMA, end)
    tail = sum(GAMMA**t for t in range(1, 2000)) * ((end - GAMMA * end) ** 2)
    listed = (r**2 + steps.terminated * tail).mean()
    assert mean_over_steps(lambda x: x**2, steps, GAMMA, end).item() == pytest.approx(listed.item(), rel=1e-10)
    assert r[steps.terminated == 1].tolist() == pytest.approx(
        (steps.q - GAMMA * end)[steps.terminated == 1].tolist(), abs=1e-12
    )


def test_offline_the_objective_is_a_regularised_likelihood():
    """With the value term `expert`, L = −α E log π + E[(r − t)²]/4c  (IQ-Learn eq. 9, r = α log π + V − γV′)."""
    steps, alpha, c, target = some_steps(), 0.7, 5.0, 1.0
    settings = IQSettings(GAMMA, "chi2", "expert", "expert", c, (target, 0.0), 1.0, 10.0)
    loss = iq_loss(steps, None, steps.value[:1], None, settings)
    r = inverse_soft_bellman(steps, GAMMA)
    likelihood = alpha * cloning_loss(steps.q, steps.value, alpha)
    assert loss.item() == pytest.approx((likelihood + ((r - target) ** 2).mean() / (4 * c)).item(), rel=1e-12)


def test_mixture_options_need_steps_of_the_policy():
    steps = some_steps()
    for option in ({"value": "mixture", "chi2": "expert"}, {"value": "expert", "chi2": "mixture"}):
        settings = IQSettings(GAMMA, "chi2", option["value"], option["chi2"], 0.5, (0.0, 0.0), 1.0, 10.0)
        with pytest.raises(ValueError, match="needs steps of the policy: give an env"):
            iq_loss(steps, None, steps.value[:1], None, settings)


def test_the_bellman_target_is_not_differentiated_and_stops_at_the_end():
    q, v = numbers(1.0, 1.0).requires_grad_(), numbers(10.0, 10.0).requires_grad_()
    target = bellman_target(numbers(1.0, 1.0), v, numbers(0.0, 1.0), GAMMA)
    loss = least_squares_loss(q, target)
    assert loss.item() == pytest.approx(9.0**2 / 4)  # errors −9 and 0
    assert torch.autograd.grad(loss, v, allow_unused=True) == (None,)


def test_least_squares_has_its_minimum_at_the_mean_of_its_targets_even_with_a_rare_large_loss():
    targets = torch.tensor([1.0] * 9 + [-100.0], dtype=torch.float64)
    q = torch.zeros((), dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(least_squares_loss(q.expand(10), targets), q)
    assert slope.item() == pytest.approx(-targets.mean().item())  # so that it vanishes at q = the mean, −9.1


def test_the_bellman_target_after_the_end_uses_the_value_of_the_absorbing_state():
    target = bellman_target(numbers(1.0, 1.0), numbers(5.0, 5.0), numbers(0.0, 1.0), GAMMA, numbers(-20.0)[0])
    torch.testing.assert_close(target, numbers(1 + 0.9 * 5, 1 - 0.9 * 20))


def test_least_squares_with_rewards_of_one_over_c_is_the_chi2_objective_up_to_a_constant():
    """c·[½(r_E − 1/c)² + ½(r_π + 1/c)²] = −r_E + r_π + (c/2)(r_E² + r_π²) + 1/c."""
    c, r_expert, r_policy = 0.5, numbers(0.3, -1.2), numbers(-0.4, 2.0)
    squares = c * (
        least_squares_loss(r_expert, numbers(1 / c, 1 / c)) + least_squares_loss(r_policy, numbers(-1 / c, -1 / c))
    )
    chi2 = -r_expert.mean() + r_policy.mean() + c / 2 * (r_expert.square().mean() + r_policy.square().mean())
    assert (squares - chi2).item() == pytest.approx(1 / c)


def test_the_lipschitz_penalty_is_zero_for_gradients_up_to_one():
    assert lipschitz_penalty(numbers(0.6, 0.8)[None]).item() == pytest.approx(0.0, abs=1e-12)
    assert lipschitz_penalty(numbers(3.0, 0.0)[None]).item() == pytest.approx(4.0)


def test_weights_turn_the_mean_into_an_expectation():
    steps = StepValues(numbers(1, 2), numbers(0, 0), numbers(0, 0), numbers(0, 0), numbers(0.25, 0.75))
    assert mean_over_steps(lambda r: r, steps, GAMMA, None).item() == pytest.approx(1.75)
    np.testing.assert_allclose(inverse_soft_bellman(steps, GAMMA), [1.0, 2.0])
