"""Write tests/data/iq_learn_*: python tests/data/write_iq_learn.py (with numpy before 1.24, as IQ-Learn needs).

The committed files are of numpy 1.23.5 and Python 3.11. IQ-Learn (https://github.com/Div99/IQ-Learn) cannot be
installed; these are the calls by which its `dataset/memory.py` saves a replay memory and its `expert_generation.py` an
expert.
"""

import pickle
from collections import defaultdict, deque
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parent
LENGTHS = (3, 1, 4)  # as in tests/demo_files.py, which this old numpy cannot import

if __name__ == "__main__":
    buffer, trajectories = deque(maxlen=8), defaultdict(list)
    for i, length in enumerate(LENGTHS):
        steps = []
        for t in range(length):
            state, following = np.array([i, t], np.float32), np.array([i, t + 1], np.float32)
            ended = i == 0 and t == length - 1  # in a memory the time limit does not end an episode
            action, reward = np.array([t / 10, -t / 10], np.float32), i + t / 10
            buffer.append((state, following, action, reward, ended))
            steps.append((state, following, action, reward, t == length - 1))
        for name, values in zip(("states", "next_states", "actions", "rewards", "dones"), zip(*steps)):  # noqa: B905
            trajectories[name].append(values)
        trajectories["lengths"].append(length)
    np.save(FOLDER / "iq_learn_memory", np.asarray(buffer))
    with (FOLDER / "iq_learn_expert.pkl").open("wb") as file:
        pickle.dump(trajectories, file)
