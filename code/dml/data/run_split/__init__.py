"""The split of a run is part of its record: ``split.csv`` says which images it trains on and is judged by.

A run that goes on, and whatever judges its network later, reads the split there instead of drawing it again by a rule
that gives another one once a class has been renamed or a file is gone.
"""

from dml.data.run_split.changes import Changes, compare, positions
from dml.data.run_split.continuing import carried_over_noise, continued, has_split, trained_without_classes
from dml.data.run_split.evaluating import RunRecord, judged_as_in_the_run, warn_of_trained_classes
from dml.data.run_split.table import (
    FILE_NAME,
    SplitTable,
    data_digest_of_run,
    earlier_files,
    read_split,
    split_table,
    table_with_digest,
)

__all__ = [
    "FILE_NAME",
    "Changes",
    "RunRecord",
    "SplitTable",
    "carried_over_noise",
    "compare",
    "continued",
    "data_digest_of_run",
    "earlier_files",
    "has_split",
    "judged_as_in_the_run",
    "positions",
    "read_split",
    "split_table",
    "table_with_digest",
    "trained_without_classes",
    "warn_of_trained_classes",
]
