"""The runs that a report is of: from their folders, from folders above them, and from records."""

from __future__ import annotations

from collections.abc import Sequence

from dml.errors import UserError
from dml.places import from_home
from dml.report.record import read_runs_of_record
from dml.report.runs import Run, read_run, run_folders


def read_runs(places: Sequence[str], leave_out: Sequence[str] = ()) -> tuple[list[Run], dict[str, str]]:
    """The finished runs in ``places`` but for those in ``leave_out``: run folders, folders above them, or patterns of
    either; or records, files that end in .jsonl, whose runs are left out by their names.

    Returns:
        the runs, and of each folder that was skipped the reason.

    Raises:
        UserError: a place without any run folder.
    """
    records = [file for place in places if (file := from_home(place)).suffix == ".jsonl" and file.is_file()]
    runs, skipped = [run for file in records for run in read_runs_of_record(file) if run.name not in leave_out], {}
    places = [place for place in places if from_home(place) not in records]
    leave_out = [place for place in leave_out if not records or from_home(place).exists()]
    folders, unwanted = ({f: None for place in among for f in run_folders(place)} for among in (places, leave_out))
    unwanted = {folder.resolve() for folder in unwanted}
    for folder in folders:
        if folder.resolve() in unwanted:
            continue
        try:
            runs.append(read_run(folder))
        except (UserError, OSError) as error:
            skipped[str(folder)] = str(error)
    return runs, skipped
