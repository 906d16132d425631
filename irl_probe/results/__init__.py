"""The one labelled form of every result: an xarray DataTree, its file, and its table.

| group                | variables and their dims                                                          |
|----------------------|-----------------------------------------------------------------------------------|
| `/` (attributes)     | see `new_results`: settings, source and versions of the results                   |
| `/learning`          | any figure of the learner's log over (step)                                       |
| `/returns`           | returns, lengths (policy, episode), NaN-padded; mean, normalised (policy, bound)  |
| `/coverages`         | episodes (coverage): how many each kind of data holds                             |
| `/correlation`       | value (reward, reference, coverage, metric, level, control, bound); reason        |
| `/distance`          | value (reward, reference, coverage, metric, bound); reason; calibration below     |
| `/decomposition`     | value (reward, reference, coverage, part, bound); reason; scale (..., bound)      |
| `/ranking`           | value, constant (reward, bound); reason; true, recovered, cut (reward, policy)    |
|                      | gamma (reward); the same figures of plain sums under undiscounted_value, ...      |
| `/points/<coverage>` | episode, true (step); recovered (reward, step)                                    |
| `/retraining`        | return_mean, normalised (reward, seed); mean, normalised_mean (reward, bound)     |
| `/transfer`          | return_mean (variant, policy, seed); mean, value (variant, policy, bound); reason |
|                      | overall (policy, bound); regret_greedy, regret_soft (variant, policy)             |
|                      | parameter, factor (variant)                                                       |
| `/grid`              | true_reward, true_value (row, col); recovered_reward, recovered_value (kind, row, col) |

Any group but the root may be absent. Figures are float64; `bound` is (estimate, low, high); an undefined figure is NaN
and its `reason` (the dims of `value` without bound) says why; a variable's unit is its attribute `units`. A group's
attribute `interval` says how its intervals are made.

A sampled `/distance` also has its calibration: `shaped` and `shaped_10` (reward, reference, coverage, metric, bound),
the measure's distance of the truth to the truth + shaping of the size of that reward's value, and + ten times that
(both should be 0); `random` (reference, coverage, metric, bound), its distance to an independent random reward (should
be far); and `off_support` (coverage, metric), the share of the evaluated transitions that are unlike any in the data.
`/ranking` holds Kendall's τ_b between the mean true and recovered discounted returns of policies from bad to good, each
reward with its own `gamma`, and that of a constant reward; `cut` is the mean of γᵀ over episodes, 0 for those that
ended. Beside it stands the order by undiscounted sums. Parts of `/decomposition`: scale, potential, redistribution,
residual.

To combine results: `merge_results` puts rewards side by side, `stack_runs` stacks seeds, tasks or variants along
a new first dimension, `average_runs` takes the mean over it, with an interval over runs. `to_dataframe` is the tidy
table of all figures, `to_markdown` and `to_latex` print one.
"""

from irl_probe.results.files import (
    COLUMNS,
    load_results,
    reward_figures,
    save_results,
    to_dataframe,
    to_latex,
    to_markdown,
)
from irl_probe.results.groups import (
    correlation_group,
    coverages_group,
    decomposition_group,
    distance_group,
    grid_group,
    learning_group,
    points_group,
    ranking_group,
    retraining_group,
    retraining_share,
    returns_group,
    transfer_group,
)
from irl_probe.results.merging import average_runs, merge_results, stack_runs
from irl_probe.results.schema import BOUND, RUN_DIMS, SCHEMA, SCHEMA_VERSION, join_results, new_results, validate

__all__ = [
    "BOUND",
    "COLUMNS",
    "RUN_DIMS",
    "SCHEMA",
    "SCHEMA_VERSION",
    "average_runs",
    "correlation_group",
    "coverages_group",
    "decomposition_group",
    "distance_group",
    "grid_group",
    "join_results",
    "learning_group",
    "load_results",
    "merge_results",
    "new_results",
    "points_group",
    "ranking_group",
    "retraining_group",
    "retraining_share",
    "returns_group",
    "reward_figures",
    "save_results",
    "stack_runs",
    "to_dataframe",
    "to_latex",
    "to_markdown",
    "transfer_group",
    "validate",
]
