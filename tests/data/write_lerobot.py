"""Write tests/data/lerobot with LeRobot itself: python tests/data/write_lerobot.py (where it is installed).

The committed folder is of lerobot 0.4.4 (layout v3.0), torch 2.14.1, torchvision 0.29.1, datasets 5.2.0, numpy 2.3.5
and Python 3.11, installed with `pip install --no-deps lerobot` and what its dataset writer imports: lerobot pins older
releases of torch, datasets and huggingface_hub, which cannot stand beside those that irl_probe is tested with.
"""

import shutil
import sys
from pathlib import Path

import numpy as np
from lerobot.datasets.lerobot_dataset import LeRobotDataset

sys.path.insert(0, str(Path(__file__).parents[1]))
from demo_files import episodes

FOLDER = Path(__file__).parent / "lerobot"
FEATURES = {
    "observation.state": {"dtype": "float32", "shape": (1,), "names": ["time"]},
    "observation.environment_state": {"dtype": "float32", "shape": (2,), "names": ["episode", "twice"]},
    "observation.images.wrist": {"dtype": "image", "shape": (8, 8, 3), "names": ["height", "width", "channels"]},
    "action": {"dtype": "float32", "shape": (2,), "names": ["left", "right"]},
    "next.reward": {"dtype": "float32", "shape": (1,), "names": None},
    "next.done": {"dtype": "bool", "shape": (1,), "names": None},
}

if __name__ == "__main__":
    shutil.rmtree(FOLDER, ignore_errors=True)
    dataset = LeRobotDataset.create("test/toy", fps=10, features=FEATURES, root=FOLDER, use_videos=False)
    for observations, actions, rewards in episodes(discrete=False):
        for t, action in enumerate(actions):
            episode, time = observations[t]
            dataset.add_frame(
                {
                    "observation.state": np.array([time], np.float32),
                    "observation.environment_state": np.array([episode, 2 * episode], np.float32),
                    "observation.images.wrist": np.full((8, 8, 3), 40 * t, np.uint8),
                    "action": action,
                    "next.reward": np.array([rewards[t]], np.float32),
                    "next.done": np.array([t == len(actions) - 1]),
                    "task": "count",
                }
            )
        dataset.save_episode()
    dataset.finalize()
