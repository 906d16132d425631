"""`import irl_probe` loads nothing heavy, and every public name is there when it is asked for."""

import subprocess
import sys

import irl_probe as ip
import irl_probe.learn


def test_importing_the_package_loads_no_heavy_library():
    script = "import sys, irl_probe; print(sorted({'torch', 'scipy', 'xarray', 'matplotlib'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_config_is_loaded_without_the_engines():
    script = "import sys, irl_probe; irl_probe.IQConfig(); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


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
    for package in (ip, irl_probe.learn):
        for name in package.__all__:
            value = getattr(package, name)
            assert getattr(value, "__module__", value.__name__).startswith("irl_probe."), name
            assert name in dir(package)
    assert callable(ip.judgement.warnings_of)
    assert callable(ip.probe)
