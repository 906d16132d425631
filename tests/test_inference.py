"""Networks in NumPy: the numbers that torch gives, whatever the size of the pieces."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from irl_probe.softq import (
    ContinuousQ,
    ContinuousSoftQ,
    DiscreteQ,
    DiscreteSoftQ,
    GaussianPolicy,
    NetworkSpec,
    in_numpy,
    squashed_gaussian,
)
from irl_probe.softq.functions import soft_value
from irl_probe.softq.in_numpy import (
    NumpyEncoder,
    NumpyLayers,
    Scratch,
    gaussian_moments,
    piece_rows,
    pieces,
    soft_values,
    squashed_draws,
)


def spec(*, discrete_actions=False, states=None, **kwargs):
    kwargs = {"hidden": (12, 7), **kwargs}
    actions = (3, None, None) if discrete_actions else (None, (-1.0, 0.0), (1.0, 5.0))
    return NetworkSpec(() if states else (2, 3), states, *actions, **kwargs)


def observations(shape, count=30, seed=0):
    rng = np.random.default_rng(seed)
    if shape.observation_count is not None:
        return rng.integers(shape.observation_count, size=count)
    return rng.normal(size=(count, *shape.observation_shape)).astype(np.float32)


def perturbed(network, seed=1):
    """The network with no parameter at a value that hides mistakes, such as LayerNorm's 1 and 0."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    network.encoder.mean.add_(0.5)
    network.encoder.scale.mul_(2.0)
    return network


@pytest.mark.parametrize("activation", ["relu", "tanh", "elu"])
@pytest.mark.parametrize("layer_norm", [False, True])
@pytest.mark.parametrize("states", [None, 4])
@pytest.mark.parametrize("critics", [1, 3])
def test_the_forward_pass_is_that_of_torch(activation, layer_norm, states, critics):
    shape = spec(activation=activation, layer_norm=layer_norm, states=states, critics=critics)
    critic, o = perturbed(ContinuousQ(shape)), observations(shape)
    a = np.random.default_rng(1).uniform(-1, 1, (30, 2)).astype(np.float32)
    with torch.no_grad():
        wanted = critic(torch.as_tensor(o), torch.as_tensor(a)).numpy()
    inputs = np.concatenate([NumpyEncoder(critic.encoder)(o), a], axis=1)
    found = NumpyLayers(critic.layers)(inputs)
    np.testing.assert_allclose(found[..., 0].reshape(critics, 30), wanted, rtol=1e-5, atol=1e-5)
    scratch, layers = Scratch(), NumpyLayers(critic.layers)
    first = layers(inputs, scratch)
    kept = first.copy()
    layers(inputs[:7] + 1, scratch)  # the memory of the first pass is used again, but not that of its result
    np.testing.assert_array_equal(first, kept)
    np.testing.assert_array_equal(first, found)
    longer = layers(np.concatenate([inputs, inputs]), scratch)
    np.testing.assert_allclose(longer[..., :30, :], found, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("temperature", [1e-3, 1.0, 50.0])
def test_soft_values_are_those_of_torch_without_overflow(temperature):
    table = np.random.default_rng(0).normal(size=(40, 3)) * 100
    wanted = soft_value(torch.from_numpy(table), temperature).numpy()
    np.testing.assert_allclose(soft_values(table, temperature), wanted, rtol=1e-12)
    assert soft_values(np.zeros((0, 3)), temperature).shape == (0,)


@pytest.mark.parametrize("log_std", ["squashed", "clipped"])
def test_draws_and_densities_are_those_of_torch_also_near_the_bounds(log_std):
    shape = spec(log_std=log_std)
    actor, o = perturbed(GaussianPolicy(shape)).double(), 30 * observations(shape).astype(np.float64)
    noise = np.random.default_rng(0).normal(size=(5, 2))
    outputs = NumpyLayers(actor.layers)(NumpyEncoder(actor.encoder)(o))
    mean, log_deviation = gaussian_moments(outputs, log_std)
    actions, density = squashed_draws(mean, log_deviation, noise)
    with torch.no_grad():
        wanted = actor(torch.as_tensor(o))
        for k in range(5):
            action, log_density = squashed_gaussian(*wanted, torch.as_tensor(noise[k]).expand(30, 2))
            np.testing.assert_allclose(actions[k], action.numpy(), atol=1e-12)
            np.testing.assert_allclose(density[k], log_density.numpy(), rtol=0, atol=1e-8)  # torch leaves out e⁻²⁰
    assert (1 - np.abs(actions)).min() < 1e-6


def test_an_unknown_layer_is_refused():
    with pytest.raises(TypeError, match="no NumPy forward pass for SiLU"):
        NumpyLayers(nn.Sequential(nn.SiLU()))


def test_observations_of_another_environment_are_refused():
    encode = NumpyEncoder(DiscreteQ(spec(discrete_actions=True)).encoder)
    with pytest.raises(ValueError, match=r"observations of 6 numbers; got an array of shape \(4, 11\)"):
        encode(np.zeros((4, 11)))
    encode = NumpyEncoder(DiscreteQ(spec(discrete_actions=True, states=16)).encoder)
    for wrong in (np.array([[1.0, 2.0]]), np.array([3, 16]), np.array([-1]), np.zeros((3, 4))):
        with pytest.raises(ValueError, match=r"states of Discrete\(16\), shape \(N,\); got an array of shape"):
            encode(wrong)


def test_a_later_step_of_the_optimiser_is_seen():
    shape = spec(discrete_actions=True)
    network, o = DiscreteQ(shape), observations(shape)
    soft_q = DiscreteSoftQ(network, gamma=0.9, temperature=1.0)
    before = soft_q.table(o)
    with torch.no_grad():
        list(network.parameters())[-1].add_(1.0)
    np.testing.assert_allclose(soft_q.table(o), before + 1, atol=1e-6)


def test_pieces_cover_all_rows_and_stay_below_their_bound():
    assert [range(10)[piece] for piece in pieces(10, 4)] == [range(4), range(4, 8), range(8, 10)]
    assert list(pieces(0, 4)) == [slice(0, 4)]
    wide = spec(hidden=(256, 256), critics=2)
    assert piece_rows(wide, per_row=17) * 17 * 256 * 2 <= in_numpy.PIECE
    assert piece_rows(spec(hidden=(in_numpy.PIECE * 2,))) == 1


@pytest.mark.parametrize("size", [1, 40, 1 << 19])
@pytest.mark.parametrize("kind", ["discrete", "discrete states", "continuous"])
def test_values_of_steps_are_q_and_the_soft_value_whatever_the_pieces(kind, size, monkeypatch):
    monkeypatch.setattr(in_numpy, "PIECE", size)
    shape = spec(discrete_actions=kind != "continuous", states=5 if kind == "discrete states" else None)
    rng = np.random.default_rng(0)
    o = observations(shape, 25)
    o2 = np.concatenate([o[1:], observations(shape, 1, seed=3)])
    o2[10] = observations(shape, 1, seed=4)[0]  # an episode ended here
    if kind == "continuous":
        critic, actor = perturbed(ContinuousQ(shape)), perturbed(GaussianPolicy(shape))
        soft_q = ContinuousSoftQ(critic, actor, gamma=0.9, temperature=0.5)
        a = rng.uniform([-1, 0], [1, 5], (25, 2))
    else:
        network = perturbed(DiscreteQ(shape))
        soft_q = DiscreteSoftQ(network, gamma=0.9, temperature=0.5)
        a = rng.integers(3, size=25)
        with torch.no_grad():
            table = network(torch.as_tensor(o2)).double()
        np.testing.assert_allclose(soft_q.value(o2), soft_value(table, 0.5).numpy(), rtol=1e-5, atol=1e-5)
    q, value = soft_q.step_values(o, a, o2)
    np.testing.assert_allclose(q, soft_q.q(o, a), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(value, soft_q.value(o2), rtol=1e-5, atol=1e-5)
    assert q.dtype == value.dtype == np.float64
    assert [part.shape for part in soft_q.step_values(o[:0], a[:0], o2[:0])] == [(0,), (0,)]
