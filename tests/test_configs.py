"""Every config refuses in words a name that it does not have and a value of another type."""

import copy
import dataclasses
import json
import pickle
from types import NoneType
from typing import get_args, get_type_hints

import numpy as np
import pytest

import irl_probe as ip
from irl_probe.rewards import DynamicsConfig

CONFIGS = (
    ip.IQConfig,
    ip.CompareConfig,
    ip.comparison.DistanceConfig,
    ip.DistilConfig,
    ip.pipeline.ProbeConfig,
    ip.RLConfig,
    ip.RetrainConfig,
    ip.retraining.RetrainStudyConfig,
    ip.transfers.TransferConfig,
    DynamicsConfig,
)


@pytest.mark.parametrize("config", CONFIGS)
def test_an_unknown_name_is_refused_with_the_near_miss(config):
    name = dataclasses.fields(config)[0].name
    with pytest.raises(ValueError, match=f"{config.__name__} has no key '{name}x'. Did you mean '{name}'?"):
        config(**{f"{name}x": 1})
    with pytest.raises(ValueError, match=f"has no key 'qqq'. The keys are .*{name}"):
        dataclasses.replace(config(), qqq=1)


@pytest.mark.parametrize("config", CONFIGS)
def test_every_field_refuses_a_value_of_another_type(config):
    for field in dataclasses.fields(config):
        with pytest.raises(ValueError, match=rf"^{config.__name__}\.{field.name} must be .*; got {{1: 2}}\."):
            config(**{field.name: {1: 2}})


@pytest.mark.parametrize("config", CONFIGS)
def test_none_is_only_taken_where_the_annotation_has_it(config):
    for name, kind in get_type_hints(config).items():
        if NoneType not in get_args(kind):
            with pytest.raises(ValueError, match=rf"^{config.__name__}\.{name} must be .*; got None\."):
                config(**{name: None})
        elif getattr(config(), name) is None:
            assert getattr(config(**{name: None}), name) is None


@pytest.mark.parametrize("config", CONFIGS)
def test_a_config_survives_pickle_copy_and_replace(config):
    made = config()
    again = (pickle.loads(pickle.dumps(made)), copy.copy(made), copy.deepcopy(made), dataclasses.replace(made))
    assert all(other == made for other in again)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": "10"}, r"IQConfig.steps must be a whole number \(such as 10\) or None; got '10'"),
        ({"steps": 1.5}, "whole number .* got 1.5"),
        ({"steps": True}, "whole number .* got True"),
        ({"hidden": 64}, r"hidden must be a tuple of whole numbers \(such as \(64, 32\)\) or None; got 64"),
        ({"hidden": (64, 0)}, r"hidden must be widths of at least 1, or \(\) for no hidden layer; got \(64, 0\)"),
        ({"reward_targets": 1}, "reward_targets must be a pair of numbers .* got 1"),
        ({"reward_targets": (1, 2, 3)}, r"pair of numbers .* got \(1, 2, 3\)"),
        ({"gamma": "0.9"}, r"gamma must be a number \(such as 0.5\); got '0.9'"),
        ({"gamma": float("nan")}, "gamma must be at least 0 and below 1; got nan"),
        ({"anneal": "no"}, "anneal must be True or False; got 'no'"),
        ({"terminal": "absorbin"}, "must be one of zero, absorbing; got 'absorbin'. Did you mean 'absorbing'?"),
    ],
)
def test_what_iq_learn_cannot_be_set_to_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        ip.IQConfig(**settings)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: ip.transfers.TransferConfig(forms="r(s)"),
            r"forms must be a tuple of r\(s\), r\(s, a\).*; got 'r\(s\)'",
        ),
        (lambda: ip.transfers.TransferConfig(learner=3), "learner must be of type RLConfig; got 3"),
        (lambda: ip.DistilConfig(hidden=(0,)), "hidden must be widths of at least 1"),
        (lambda: ip.DistilConfig(gamma=2.0), "must lie in .* got 2.0"),
        (lambda: ip.DistilConfig(learning_rate=float("nan")), "learning_rate must be positive .* got nan"),
        (lambda: ip.retraining.RetrainStudyConfig(confidence=2.0), "confidence must be between 0 and 1"),
        (lambda: ip.pipeline.ProbeConfig(episodes=0), "episodes must be at least 1; got 0"),
        (lambda: ip.pipeline.ProbeConfig(retrain_steps=-1), "retrain_steps must be at least 1; got -1"),
        (lambda: ip.pipeline.ProbeConfig(seed=-1), "seed must be between 0 and 2³² − 1; got -1"),
    ],
)
def test_what_the_other_configs_cannot_be_set_to_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_numpy_numbers_lists_and_ranges_become_plain_values():
    config = ip.IQConfig(steps=np.int64(5), gamma=np.float32(0.5), hidden=[np.int64(8), 8])
    assert json.loads(json.dumps(dataclasses.asdict(config)))["hidden"] == [8, 8]
    assert (config.steps, config.gamma, config.hidden) == (5, 0.5, (8, 8))
    assert ip.transfers.TransferConfig(seeds=range(2)).seeds == (0, 1)
