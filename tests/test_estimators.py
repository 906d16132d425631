"""Sampled measures against exact ones: the study of analyses/estimators with fewer replications."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

STUDY = Path(__file__).parents[1] / "analyses" / "estimators" / "study.py"


@pytest.fixture(scope="module")
def study():
    spec = importlib.util.spec_from_file_location("estimators_study", STUDY)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look up their module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.fixture(scope="module")
def small(study):
    study.RESAMPLES = 200
    return study.run(20, episodes=(10, 80), seed=3, chosen=[study.problems()[1]])


def test_every_interval_of_the_study_covers_the_exact_value_in_nine_of_ten_replications(study):
    with xr.open_dataset(STUDY.parent / "results.nc", engine="h5netcdf") as data:
        shares = study.covered(data.load())
    assert data.sizes["replication"] == 200
    assert set(data["measure"].values) == set(study.MEASURES)
    assert float(shares.min()) >= 0.9
    assert f"{float(shares.mean()):.2f}" == "0.95"  # as its README says


def test_intervals_cover_the_exact_values(study, small):
    shares = study.covered(small).sel(episodes=80, problem="random 1")
    # These are only 20 replications, and their measures are correlated; the 200 of the study decide. At a coverage of
    # 90 % the chance of 13 or fewer of 20 is 2 in 1,000.
    assert float(shares.mean()) >= 0.8
    assert (shares >= 0.7).all(), shares.to_series()


def test_errors_fall_with_the_root_of_the_sample(study, small):
    slopes = study.slope(small).sel(problem="random 1")
    assert float(slopes.mean()) == pytest.approx(-0.5, abs=0.12)
    assert (np.abs(slopes + 0.5) < 0.3).all(), slopes.to_series()
