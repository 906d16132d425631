"""Write tests/data/robomimic_d4rl.hdf5 with robomimic itself: python tests/data/write_robomimic.py (if installed).

The committed file is of robomimic 0.3.0, gym 0.23.1, h5py 3.16.0 and Python 3.11, installed with --no-deps. It is what
robomimic's own commands `scripts/conversion/convert_d4rl.py` and `scripts/split_train_val.py` make of the episodes of
tests/demo_files.py. The first of them gets its arrays from the package d4rl, which needs mujoco_py and cannot be
installed any more: a stand-in of its one function is here, and an environment that has the arrays. The command
`scripts/dataset_states_to_obs.py` needs mujoco_py too, for robosuite: the tests write its layout, with several keys in
`obs`.
"""

import runpy
import shutil
import sys
import tempfile
import types
from pathlib import Path

import gym
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
from demo_files import LENGTHS, TERMINATED, episodes

FILE = Path(__file__).parent / "robomimic_d4rl.hdf5"


class Toy(gym.Env):
    observation_space = gym.spaces.Box(-9, 9, (2,), np.float32)
    action_space = gym.spaces.Box(-1, 1, (2,), np.float32)

    def get_dataset(self):
        made = episodes(discrete=False)
        last = np.isin(np.arange(sum(LENGTHS) + 1), np.cumsum(LENGTHS) - 1)
        ended = np.append(np.repeat(TERMINATED, LENGTHS), False)
        arrays = {
            "observations": np.concatenate([o[:-1] for o, _, _ in made]),
            "actions": np.concatenate([a for _, a, _ in made]),
            "rewards": np.concatenate([r for _, _, r in made]).astype(np.float32),
        }
        arrays = {
            name: np.append(rows, rows[:1], axis=0) for name, rows in arrays.items()
        }  # it leaves the last row out
        return arrays | {"terminals": last & ended, "timeouts": last & ~ended}


if __name__ == "__main__":
    gym.register("toy-medium-v2", entry_point=Toy)
    sys.modules["d4rl"] = types.SimpleNamespace(set_dataset_path=lambda folder: None)
    with tempfile.TemporaryDirectory() as folder:
        sys.argv = ["convert_d4rl", "--env", "toy-medium-v2", "--folder", folder]
        runpy.run_module("robomimic.scripts.conversion.convert_d4rl", run_name="__main__")
        shutil.copy(Path(folder, "d4rl", "converted", "toy_medium_v2.hdf5"), FILE)
    sys.argv = ["split_train_val", "--dataset", str(FILE), "--ratio", "0.34"]
    runpy.run_module("robomimic.scripts.split_train_val", run_name="__main__")
