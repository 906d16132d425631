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
CHECKS = {
    "": "assert twin.reward.reward_id == reward.reward_id and paid.shape == (256,)",
    "torchrl": "assert torch.allclose(relabelled['next', 'reward'], steps['next', 'reward'].float(), atol=1e-4)",
    "skrl": "assert agent.policy.log_std.detach().abs() > 0  # it has learned",
}


@pytest.mark.parametrize("library", CHECKS)
def test_the_blocks_run_in_order(library, tmp_path):
    if library:
        pytest.importorskip(library, exc_type=ImportError)
    code = OWN + "".join(code for named, code in BLOCKS if named and named == library) + CHECKS[library]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=200, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
