"""The blocks of docs/elsewhere.md run; those of another library where it is installed (the extra "elsewhere")."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[1] / "docs" / "elsewhere.md"
BLOCKS = re.findall(r"```python *(\w*)\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
OWN = "".join(code for library, code in BLOCKS if not library)
# The records of an offline run stand in a log of LevelDB's form: blocks of 32 KiB, parts of a checksum, a length, and a
# kind (1 whole, 2 first, 3 middle, 4 last). wandb has no public reader, but its own message class reads each record.
WANDB = """
import json, struct
from pathlib import Path
from wandb.proto.wandb_internal_pb2 import Record

wandb.teardown()  # only then is the file whole

(file,) = Path("wandb").glob("offline-run-*/*.wandb")
data, at, record, arrived = file.read_bytes(), 7, b"", []
while at + 7 <= len(data):
    if 0 < -at % 32768 < 7:
        at += -at % 32768
        continue
    _, size, kind = struct.unpack_from("<IHB", data, at)
    record = data[at + 7 : at + 7 + size] if kind in (1, 2) else record + data[at + 7 : at + 7 + size]
    at += 7 + size
    if kind in (1, 4):
        items = Record.FromString(record).history.item
        arrived += [{item.key or item.nested_key[0]: json.loads(item.value_json) for item in items}] if items else []
logged = [json.loads(line) for line in Path("runs/mine/log.jsonl").read_text().splitlines()]
assert [row["step"] for row in logged] == [row["global_step"] for row in arrived] == [120, 140, 160, 180, 200]
for row, copy in zip(logged, arrived, strict=True):
    for name in row.keys() - {"step"}:
        assert abs(copy[name] - row[name]) <= 1e-6 * max(1, abs(row[name])), name
"""
CHECKS = {
    "": "assert twin.reward.reward_id == reward.reward_id and paid.shape == (256,)",
    "torchrl": "assert torch.allclose(relabelled['next', 'reward'], steps['next', 'reward'].float(), atol=1e-4)",
    "skrl": "assert agent.policy.log_std.detach().abs() > 0  # it has learned",
    "wandb": WANDB,
}


@pytest.mark.parametrize("library", CHECKS)
def test_the_blocks_run_in_order(library, tmp_path):
    if library:
        pytest.importorskip(library, exc_type=ImportError)
    code = OWN + "".join(code for named, code in BLOCKS if named and named == library) + CHECKS[library]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=200, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
