"""Every config refuses unknown names and values of another type, with a clear message."""

import ast
import copy
import dataclasses
import inspect
import itertools
import json
import pickle
import re
import subprocess
import sys
from types import NoneType
from typing import get_args, get_type_hints

import numpy as np
import pytest

import irl_probe as ip
from irl_probe.learn.config import CONTINUOUS_ONLY
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
def test_none_is_accepted_only_where_the_annotation_allows_it(config):
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
def test_values_that_iqconfig_does_not_take_are_refused(settings, message):
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
        (lambda: ip.IQConfig(learning_rate=float("inf")), "learning_rate must be finite; got inf"),
        (lambda: ip.RLConfig(weight_decay=float("inf")), "weight_decay must be finite; got inf"),
        (lambda: ip.DistilConfig(hidden=(0,)), "hidden must be widths of at least 1"),
        (lambda: ip.DistilConfig(gamma=2.0), "must lie in .* got 2.0"),
        (lambda: ip.DistilConfig(learning_rate=float("nan")), "learning_rate must be positive .* got nan"),
        (lambda: ip.retraining.RetrainStudyConfig(confidence=2.0), "confidence must be between 0 and 1"),
        (lambda: ip.pipeline.ProbeConfig(episodes=0), "episodes must be at least 1; got 0"),
        (lambda: ip.pipeline.ProbeConfig(retrain_steps=-1), "retrain_steps must be at least 1; got -1"),
        (lambda: ip.pipeline.ProbeConfig(seed=-1), "seed must be between 0 and 2³² − 1; got -1"),
    ],
)
def test_values_that_the_other_configs_do_not_take_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_numpy_numbers_lists_and_ranges_become_plain_values():
    config = ip.IQConfig(steps=np.int64(5), gamma=np.float32(0.5), hidden=[np.int64(8), 8])
    assert json.loads(json.dumps(dataclasses.asdict(config)))["hidden"] == [8, 8]
    assert (config.steps, config.gamma, config.hidden) == (5, 0.5, (8, 8))
    assert ip.transfers.TransferConfig(seeds=range(2)).seeds == (0, 1)


def field_docs(config):
    """The docstring under each field of a config class."""
    body = ast.parse(inspect.getsource(config)).body[0].body
    return {
        field.target.id: " ".join(text.value.value.split())
        for field, text in itertools.pairwise(body)
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr)
    }


def resolved_values(config):
    """Every value that `resolve` gives each field: all kinds of actions, objectives, offline and online."""
    if config is ip.RLConfig:
        found = [config().resolve(discrete=discrete) for discrete in (True, False)]
    else:
        known = get_args(get_type_hints(config)["objective"])
        found = [
            config(objective=objective, observation_only=only).resolve(discrete=discrete, online=online)
            for discrete, online, only in itertools.product((True, False), repeat=3)
            for objective in known
            if not (discrete and objective in CONTINUOUS_ONLY) and not (only and objective not in ("iq", "rize"))
        ]
    return {name: {getattr(each, name) for each in found} for name in vars(found[0])}


def values_in(text):
    """The values that a docstring names after "default:"."""
    named = text.split("(default: ")[-1]
    tuples = re.findall(r"\([-\d., ]+\)", named)
    numbers = re.findall(r"(?<![\w.])-?\d+(?:\.\d+)?(?:e-?\d+)?(?![\w])", re.sub(r"\([-\d., ]+\)", "", named))
    return {ast.literal_eval(each) for each in (*tuples, *numbers)} | set(re.findall(r"\w+", named))


@pytest.mark.parametrize("config", [ip.IQConfig, ip.RLConfig])
def test_the_help_of_each_field_names_every_default_that_resolve_gives(config):
    docs, values = field_docs(config), resolved_values(config)
    for field in dataclasses.fields(config):
        if field.default is not None or field.name in ("entropy_target", "episode_steps"):  # None is allowed there
            continue
        named = values_in(docs[field.name])
        if field.name == "evaluate_every":
            assert "steps/20, at least 1000" in docs[field.name]
            continue
        for value in values[field.name]:
            written = value if isinstance(value, int | float | tuple) and not isinstance(value, bool) else str(value)
            assert written in named, (field.name, value, docs[field.name])


@pytest.mark.parametrize(
    "config",
    [ip.IQConfig, ip.RLConfig, ip.RetrainConfig, ip.retraining.RetrainStudyConfig, ip.transfers.TransferConfig],
)
def test_each_field_has_a_docstring(config):
    assert set(field_docs(config)) == {field.name for field in dataclasses.fields(config)}


def test_online_runs_are_evaluated_by_default():
    iq, rl = ip.IQConfig(), ip.RLConfig()
    assert iq.resolve(discrete=True, online=False).evaluate_every == 0
    assert iq.resolve(discrete=True, online=True).evaluate_every == 1000  # of 20 000 steps
    assert rl.resolve(discrete=False).evaluate_every == 5000  # of 100 000 steps
    assert dataclasses.replace(rl, steps=500).resolve(discrete=False).evaluate_every == 1000
    assert dataclasses.replace(rl, evaluate_every=0).resolve(discrete=False).evaluate_every == 0


@pytest.mark.parametrize("config", [ip.IQConfig, ip.RLConfig])
def test_only_settings_that_may_be_absent_are_none_once_resolved(config):
    for name, values in resolved_values(config).items():
        assert (None in values) == (name in ("entropy_target", "episode_steps")), name


def test_a_resolved_config_can_be_read_back():
    resolved = ip.IQConfig(objective="sqil", steps=7).resolve(discrete=True, online=True)
    again = ip.IQConfig.from_dict(json.loads(json.dumps(dataclasses.asdict(resolved))))
    assert again.resolve(discrete=True, online=False) == resolved


def test_the_command_line_shows_the_docstrings():
    script = "import sys; sys.argv = ['irl-probe', 'train', '--help']; from irl_probe.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    shown = " ".join(re.sub(r"[│\s]+", " ", done.stdout).split())
    for text in ("Learning rate of AdamW", "discrete 1e-3", "continuous 3e-4", "steps/20"):
        assert text in shown
