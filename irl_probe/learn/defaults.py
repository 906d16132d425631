"""The defaults that the studies chose, by kind of action space and setting, and by objective."""

from __future__ import annotations

from typing import Any

_DISCRETE: dict[str, Any] = {
    "temperature": 1.0,
    "hidden": (64, 64),
    "activation": "tanh",
    "normalise": True,
    "learning_rate": 1e-3,
    "weight_decay": 1e-2,
    "target_rate": 0.0,
    "batch_size": 64,
    "learning_starts": 0,
}
_CONTINUOUS: dict[str, Any] = {  # the step sizes and sizes of Garg et al. 2021
    "hidden": (256, 256),
    "activation": "relu",
    "normalise": True,
    "learning_rate": 3e-4,
    "actor_learning_rate": 3e-5,
    "weight_decay": 0.0,
    "target_rate": 0.005,
    "batch_size": 256,
    "critics": 1,
    "learning_starts": 1000,
}
CONTINUOUS_ONLY = ("rize", "lsiq", "csil")
ANY: dict[str, Any] = {
    "terminal": "zero",
    "layer_norm": False,
    "bound_values": False,
    "warm_start": 0,
    "policy_average": 0.0,
    "update_every": 1,
}
BY_OBJECTIVE: dict[str, dict[str, Any]] = {
    "lsiq": {"reward_targets": (2.0, -2.0), "bound_values": True, "terminal": "absorbing"},
    "rize": {"reward_targets": (10.0, 5.0), "bound_values": False},  # its targets move, and with them the bounds
    "sqil": {"reward_targets": (1.0, 0.0)},
    "csil": {"warm_start": 5000, "bound_values": False},
}
_NO_DEMONSTRATIONS = {
    "value_term": "mixture",
    "chi2_on": "mixture",
    "chi2_c": 0.5,
    "reward_targets": (0.0, 0.0),
}  # unread
DEFAULTS: dict[tuple[str, str], dict[str, Any]] = {
    ("discrete", "offline"): _DISCRETE
    | {"value_term": "expert", "chi2_on": "expert", "chi2_c": 50.0, "reward_targets": (1.0, 1.0), "steps": 10_000},
    ("discrete", "online"): _DISCRETE
    | {
        "value_term": "expert",
        "chi2_on": "mixture",
        "chi2_c": 0.5,
        "reward_targets": (1.0, 0.0),
        "temperature": 0.1,
        "activation": "relu",
        "normalise": False,
        "terminal": "absorbing",  # what ending is worth is learned: much in Acrobot, nothing in CartPole
        "weight_decay": 0.1,
        "target_rate": 0.01,
        "learning_starts": 5000,  # random steps show what failing is worth; with few, retraining finds that it pays
        "steps": 20_000,
    },
    ("discrete", "bellman"): _DISCRETE
    | _NO_DEMONSTRATIONS
    | {
        "hidden": (128, 128),
        "activation": "relu",
        "layer_norm": True,  # without it Q runs away on rewards that are large where the expert never was
        "learning_rate": 5e-4,
        "weight_decay": 0.0,
        "target_rate": 0.01,
        "batch_size": 256,
        "update_every": 250,  # updates between single steps lose CartPole's policy again, one time in two
        "policy_average": 2e-4,
        "learning_starts": 1000,
        "steps": 40_000,
    },
    ("continuous", "offline"): _CONTINUOUS
    | {
        "value_term": "expert",
        "chi2_on": "expert",
        "chi2_c": 0.5,
        "reward_targets": (1.0, 1.0),
        "temperature": 0.01,
        "actor_learning_rate": 3e-4,
        "target_rate": 0.0,
        "steps": 10_000,
    },
    ("continuous", "online"): _CONTINUOUS
    | {
        "value_term": "mixture",
        "chi2_on": "mixture",
        "chi2_c": 0.5,
        "reward_targets": (2.0, -2.0),  # ±1/c, with bounds and absorbing states as in LS-IQ
        "bound_values": True,
        "terminal": "absorbing",
        "layer_norm": True,
        "warm_start": 5000,
        "weight_decay": 0.3,  # without it the critic learns one demonstration by heart, and the policy is lost again
        "actor_learning_rate": 5e-5,
        "policy_average": 2e-4,  # of the last five thousand updates: single ones fall (Hopper, Ant)
        "batch_size": 128,
        "temperature": 0.03,
        "steps": 100_000,
    },
    ("continuous", "bellman"): _CONTINUOUS
    | _NO_DEMONSTRATIONS
    | {"temperature": 0.1, "critics": 2, "normalise": False, "actor_learning_rate": 3e-4, "steps": 100_000},
}
