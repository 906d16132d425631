"""Stable-Baselines3's SAC and DQN models, copied into this library's own soft Q-functions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Literal

import numpy as np
import torch
from gymnasium import spaces
from torch import nn

from irl_probe._types import Floats
from irl_probe.rewards.protocol import RewardError
from irl_probe.softq import (
    ACTIVATIONS,
    ContinuousQ,
    DiscreteQ,
    EnsembleLinear,
    GaussianPolicy,
    NetworkSpec,
    ObservationEncoder,
    learns,
)
from irl_probe.softq.functions import ContinuousSoftQ, DiscreteSoftQ

PACKAGE = "stable_baselines3"
SUPPORTED = "SAC and DQN, with MlpPolicy"


@dataclass(frozen=True, eq=False)
class StableBaselinesQ:
    """The soft Q-function of a trained model, as `recover` takes it; see `from_stable_baselines`.

    There is no absorbing state: both algorithms learn with V = 0 after the MDP terminated.
    """

    soft_q: DiscreteSoftQ | ContinuousSoftQ
    observation_space: spaces.Space[object]
    action_space: spaces.Space[object]
    provenance: Mapping[str, str | float | int]
    terminal_value: float = 0.0


@learns
def from_stable_baselines(model: Any, *, temperature: float | None = None) -> StableBaselinesQ:
    """The soft Q-function that a Stable-Baselines3 model has learned, copied into this library's networks.

    SAC (Haarnoja et al. 2018): Q is the least of its critics (not of their slow targets), π its squashed Gaussian, and
    α its entropy coefficient, learned or fixed. V = E_π[Q − α log π] is estimated by this library, with the exact log
    density; SB3 adds 1e-6 inside log(1 − a²), so the two differ where |a| is within about 1e-5 of its bound. DQN: Q
    is its network, which is trained for greedy actions and has no temperature; `temperature` states the α of
    V = α log Σ exp(Q/α) and π = softmax(Q/α), which tend to DQN's own as α → 0. γ is the model's.

    If the model's environment is a VecNormalize, its observation statistics are copied into the networks (its clipping
    is not), and if it normalises the reward, Q is in units of the normalised reward. A model loaded without its
    environment lacks these statistics: set the environment with `model.set_env` first.

    Args:
        model: a trained SAC or DQN with an MlpPolicy.
        temperature: α > 0 of a DQN, in reward units; SAC has its own.

    Raises RewardError for any other algorithm or policy, a DQN without a temperature, a SAC with one, gSDE, networks
    without hidden layers or with another activation, spaces other than Box and Discrete, and non-finite weights.
    """
    from stable_baselines3 import DQN, SAC

    name = type(model).__name__
    if not isinstance(model, SAC | DQN):
        raise RewardError(
            f"A reward can be recovered from Stable-Baselines3's {SUPPORTED}, which learn a Q-function of their "
            f"policy; got {name}. Train one of these, or imitate the agent: record_demos(policy, env) and train."
        )
    _check_policy(model, name)
    soft_q = _sac(model) if isinstance(model, SAC) else _dqn(model)
    if isinstance(model, SAC):
        if temperature is not None:
            raise RewardError(
                f"SAC has a temperature of its own, its entropy coefficient (here {soft_q.temperature:.4g}); leave "
                f"'temperature' out. Got {temperature}."
            )
    elif temperature is None:
        raise RewardError(
            "DQN learns a Q-function for greedy actions, without a temperature; state the α of the soft value "
            "V = α log Σ exp(Q/α), in reward units: recover(model, temperature=...). A small one is nearest to DQN."
        )
    else:
        soft_q.temperature = temperature
    if not 0 < soft_q.temperature < np.inf:
        raise RewardError(f"A soft Q-function has a positive, finite temperature α; got {soft_q.temperature}.")
    algorithm = f"{name} (Stable-Baselines3)"
    known: dict[str, str | float | int] = {"algorithm": algorithm, "steps": int(model.num_timesteps)}
    known |= {"stable_baselines3_version": version(PACKAGE), "torch_version": version("torch")}
    return StableBaselinesQ(soft_q, model.observation_space, model.action_space, known)


def _check_policy(model: Any, name: str) -> None:
    from stable_baselines3.common.torch_layers import FlattenExtractor

    policy = model.policy
    if policy.features_extractor_class is not FlattenExtractor:
        raise RewardError(
            f"The policy must be an MlpPolicy on flat observations; this {name} has a {type(policy).__name__} with a "
            f"{policy.features_extractor_class.__name__}, which this library's networks cannot hold. Train with "
            "'MlpPolicy', on an environment in gymnasium.wrappers.FlattenObservation where it has parts."
        )
    if getattr(model, "use_sde", False):
        raise RewardError(
            "The policy's noise must be independent of the state's features; this SAC was trained with use_sde=True. "
            "Train it with use_sde=False."
        )
    for key, tensor in policy.state_dict().items():
        if not bool(torch.isfinite(tensor).all()):
            raise RewardError(f"The model's weights must be finite; '{key}' is not. Did its training diverge?")


def _sac(model: Any) -> ContinuousSoftQ:
    networks = [list(network) for network in model.critic.q_networks]
    actor = [*model.actor.latent_pi, _side_by_side(model.actor.mu, model.actor.log_std)]
    critic = ContinuousQ(_spec(model, networks[0], critics=len(networks)))
    policy = GaussianPolicy(_spec(model, actor, log_std="clipped"))
    _copy_layers(critic.layers, zip(*networks, strict=True))
    _copy_layers(policy.layers, zip(actor, strict=True))
    for encoder in (critic.encoder, policy.encoder):
        _copy_scaling(encoder, model)
    alpha = model.ent_coef_tensor if model.ent_coef_optimizer is None else model.log_ent_coef.detach().exp()
    return ContinuousSoftQ(critic.eval(), policy.eval(), gamma=float(model.gamma), temperature=float(alpha))


def _dqn(model: Any) -> DiscreteSoftQ:
    layers = list(model.q_net.q_net)
    network = DiscreteQ(_spec(model, layers))
    _copy_layers(network.layers, zip(layers, strict=True))
    _copy_scaling(network.encoder, model)
    return DiscreteSoftQ(network.eval(), gamma=float(model.gamma), temperature=1.0)


def _spec(
    model: Any, layers: list[nn.Module], *, critics: int = 1, log_std: Literal["squashed", "clipped"] = "squashed"
) -> NetworkSpec:
    """The shape of a network with these layers: linear and activation in turn, the last linear."""
    names = {module: name for name, module in ACTIVATIONS.items()}
    used = {type(layer) for layer in layers[1::2]}
    if not used:
        raise RewardError("The model's networks must have a hidden layer; got net_arch=[]. Train it with one.")
    if len(used) != 1 or not used <= names.keys():
        got = ", ".join(sorted(kind.__name__ for kind in used))
        raise RewardError(
            f"The model's activation must be one of {', '.join(kind.__name__ for kind in names)}; got {got}. "
            "Set activation_fn in its policy_kwargs."
        )
    try:
        return NetworkSpec.of(
            model.observation_space,
            model.action_space,
            hidden=[int(layer.out_features) for layer in layers[:-1:2]],  # type: ignore[arg-type]  # linear ones
            activation=names[used.pop()],  # type: ignore[arg-type]  # one of its literals
            critics=critics,
            log_std=log_std,
        )
    except ValueError as error:
        raise RewardError(str(error)) from error


def _side_by_side(first: nn.Linear, second: nn.Linear) -> nn.Linear:
    """One linear layer with the outputs of both."""
    both = nn.Linear(first.in_features, first.out_features + second.out_features, dtype=torch.float32)
    with torch.no_grad():
        both.weight.copy_(torch.cat([first.weight, second.weight]))
        both.bias.copy_(torch.cat([first.bias, second.bias]))
    return both


def _copy_layers(own: nn.Sequential, theirs: Iterable[tuple[Any, ...]]) -> None:
    """Copy linear layers; those of several networks are put side by side into an EnsembleLinear."""
    with torch.no_grad():
        for layer, copied in zip(own, theirs, strict=True):
            if isinstance(layer, EnsembleLinear):
                layer.weight.copy_(torch.stack([one.weight.T for one in copied]))
                layer.bias.copy_(torch.stack([one.bias[None] for one in copied]))
            elif isinstance(layer, nn.Linear):
                layer.weight.copy_(copied[0].weight)
                layer.bias.copy_(copied[0].bias)


def _copy_scaling(encoder: ObservationEncoder, model: Any) -> None:
    """Copy the scaling of observations: that of a VecNormalize, or of images to [0, 1]."""
    from stable_baselines3.common.preprocessing import is_image_space

    normalised = model.get_vec_normalize_env()
    if normalised is not None and normalised.norm_obs:
        statistics = normalised.obs_rms
        encoder.set(_flat(statistics.mean), _flat(np.sqrt(statistics.var + normalised.epsilon)))
    elif model.policy.normalize_images and is_image_space(model.observation_space):
        encoder.scale.fill_(255.0)


def _flat(values: np.ndarray) -> Floats:
    return np.asarray(values, dtype=np.float64).ravel()
