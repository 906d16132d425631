"""Write tests/data/imitation with imitation itself: python tests/data/write_imitation.py (where it is installed).

The committed folder is of imitation 1.0.1, datasets 5.2.0, jsonpickle 4.1.4, numpy 2.3.5 and Python 3.11, installed
with `pip install --no-deps imitation` and what its `data.serialize` imports: it pins older releases of gymnasium.
"""

import shutil
import sys
from pathlib import Path

import numpy as np
from imitation.data import serialize
from imitation.data.types import TrajectoryWithRew

sys.path.insert(0, str(Path(__file__).parents[1]))
from demo_files import LENGTHS, TERMINATED, episodes

FOLDER = Path(__file__).parent / "imitation"

if __name__ == "__main__":
    shutil.rmtree(FOLDER, ignore_errors=True)
    made = []
    for (observations, actions, rewards), length, ended in zip(
        episodes(discrete=False), LENGTHS, TERMINATED, strict=True
    ):
        infos = np.array([{} for _ in range(length)])
        infos[-1] = {"TimeLimit.truncated": bool(not ended), "terminal_observation": observations[-1]}
        made.append(TrajectoryWithRew(observations, actions, infos, terminal=True, rews=rewards))
    serialize.save(FOLDER, made)
