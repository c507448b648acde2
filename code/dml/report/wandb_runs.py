"""Finished runs, read from a Weights & Biases project."""

from __future__ import annotations

from collections.abc import Sequence

from dml.errors import UserError
from dml.report.runs import Run, run_from_lines
from dml.wandb_settings import has_credentials, server


def read_wandb_runs(project: str, leave_out: Sequence[str] = ()) -> tuple[list[Run], dict[str, str]]:
    """The finished runs of ``ENTITY/PROJECT`` but for those named in ``leave_out``, by name or id; W&B is imported only
    here.

    Returns:
        the runs, and of each that was skipped the reason.

    Raises:
        UserError: no such form of a name, no credentials, or whatever W&B answers instead of the runs.
    """
    if project.count("/") != 1 or not all(project.split("/")):
        raise UserError(f"--wandb {project}: it reads ENTITY/PROJECT")
    if not has_credentials():
        raise UserError(
            f"--wandb {project}: no credentials for {server()}; log in with `wandb login` or set WANDB_API_KEY"
        )
    import wandb

    runs, skipped = [], {}
    try:
        for found in wandb.Api().runs(project):
            name = f"{project}/{found.name}"
            if {name, found.name, getattr(found, "id", name)} & set(leave_out):
                continue
            try:
                runs.append(run_from_lines(name, found.config, found.scan_history()))
            except UserError as error:
                skipped[name] = str(error)
    except Exception as error:  # whatever W&B raises: the user shall read it in one line
        raise UserError(f"--wandb {project}: {error}") from error
    return runs, skipped
