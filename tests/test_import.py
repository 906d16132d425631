"""`import irl_probe` loads nothing heavy, and every public name is there when it is asked for."""

import importlib.metadata
import subprocess
import sys
from types import ModuleType, UnionType

import pytest

import irl_probe as ip

NAMES = """
    Transitions Demonstrations load_demos save_demos record_demos train IQConfig RLConfig Run load_run evaluate
    recover distil DistilConfig save_reward load_reward push_reward RewardWrapper compare CompareConfig coverages
    true_reward
    retrain RetrainConfig transfer probe write_report DemoError RewardError __version__
"""
ROOMS = """
    results zoo envs rewards metrics plots demos learn softq retraining transfers pipeline comparison report judgement
"""


def test_importing_the_package_loads_no_heavy_library():
    script = "import sys, irl_probe; print(sorted({'torch', 'scipy', 'xarray', 'matplotlib'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_config_is_loaded_without_the_engines():
    script = "import sys, irl_probe; irl_probe.IQConfig(); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_reward_is_loaded_and_called_without_the_libraries_of_results_and_statistics():
    """They take as long to load as all of irl_probe, and each worker of a vector environment loads it again."""
    script = """
import sys, numpy as np, irl_probe as ip
ip.load_reward("CartPole-v1/iq")(np.zeros((1, 4)), np.zeros(1, int), np.zeros((1, 4)), np.zeros(1, bool))
print(sorted({"scipy.stats", "scipy.optimize", "xarray", "pandas", "matplotlib"} & set(sys.modules)))"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_command_line_is_parsed_without_the_heavy_libraries():
    heavy = "{'torch', 'scipy', 'xarray', 'pandas', 'matplotlib'} & set(sys.modules)"
    for arguments in ([], ["--help"], ["--version"], ["transfer", "--help"], ["compare", "--wrong"]):
        script = f"""
import sys
from irl_probe.cli import main
sys.argv = ["irl-probe", *{arguments!r}]
try:
    main()
except SystemExit:
    pass
print(sorted({heavy}))"""
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
        assert done.stdout.splitlines()[-1] == "[]", arguments


def test_every_public_name_is_what_it_says():
    for package in (ip, ip.learn):
        for name in set(package.__all__) - {"__version__"}:
            value = getattr(package, name)
            home = value.__name__ if isinstance(value, ModuleType) else value.__module__
            assert home.startswith("irl_probe.") or isinstance(value, UnionType), name
            assert name in dir(package)
    assert callable(ip.judgement.warnings_of)
    assert callable(ip.probe)


def test_the_top_level_has_these_names_and_no_other():
    assert sorted(ip.__all__) == sorted([*NAMES.split(), *ROOMS.split()])
    assert sorted(dir(ip)) == sorted(ip.__all__)


def test_every_name_of_a_room_is_there():
    for room in set(ROOMS.split()) - {"zoo", "plots"}:
        package = getattr(ip, room)
        for name in set(package.__all__) - {"SB3RewardVecEnv"}:  # that needs an optional package
            assert hasattr(package, name), (room, name)


def test_the_version_is_that_of_the_installed_package():
    assert ip.__version__ == importlib.metadata.version("irl_probe")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("simulatr", "Did you mean irl_probe.envs.simulator"),
        ("dissil", "Did you mean irl_probe.distil?"),
    ],
)
def test_a_misspelt_name_is_answered_with_its_place(name, says):
    with pytest.raises(AttributeError) as caught:
        getattr(ip, name)
    assert str(caught.value).startswith(f"irl_probe has no name {name!r}. {says}")


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("make_env", "envs"),
        ("list_zoo", "zoo"),
        ("retrain_study", "retraining"),
        ("SB3RewardVecEnv", "rewards"),
        ("correlation_forest", "plots"),
    ],
)
def test_a_name_that_is_in_a_room_is_found_there_and_the_warning_says_where(name, place):
    with pytest.warns(DeprecationWarning, match=rf"irl_probe\.{name} is irl_probe\.{place}\.{name}\. Write that"):
        assert getattr(ip, name) is getattr(getattr(ip, place), name)


def test_a_name_that_is_nowhere_is_answered_without_a_guess_and_without_loading_torch():
    script = """
import sys, irl_probe
for name in ("zzzqqq", "simulatr"):
    try:
        getattr(irl_probe, name)
    except AttributeError as error:
        print(error)
print("torch" in sys.modules, hasattr(irl_probe, "_repr_html_"))"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "irl_probe has no name 'zzzqqq'.",
        "irl_probe has no name 'simulatr'. Did you mean irl_probe.envs.simulator or irl_probe.envs.TabularSimulator?",
        "False False",
    ]


def test_the_package_runs_as_the_command_line():
    done = subprocess.run([sys.executable, "-m", "irl_probe", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"irl-probe {ip.__version__}\n"
