"""The record of a comparison: a file of JSON lines, small enough to be kept with code, of what its runs came to.

With it nothing is run twice, on any machine: the same plan with the same record has the same trials and tables,
although the run folders are gone. ``report.py`` reads the final runs in it like run folders.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from dml.compare.commands import FILES, PLACES, Command
from dml.compare.judging import Judged
from dml.compare.results import Result, result_from
from dml.errors import UserError
from dml.metrics_file import json_object, read_utf8
from dml.report.runs import line_of_run, read_run


class Record:
    """What a file of JSON lines knows, and its end, where more is written.

    Args:
        file: need not exist; None: nothing is known and nothing is kept.

    Raises:
        UserError: naming the file and the line that cannot be read.
    """

    def __init__(self, file: Path | None):
        self.file = file
        self._results: dict[str, Result] = {}
        self._judged: dict[str, Judged] = {}
        if file is not None and file.is_file():
            self._read(file)

    def result(self, name: str) -> Result | None:
        """What the run of that name came to."""
        return self._results.get(name)

    def judged(self, name: str) -> Judged | None:
        """The figures on the test classes of that name."""
        return self._judged.get(name)

    def keep_result(self, command: Command, result: Result, folder: Path, *, whole: bool) -> None:
        """Add a run that has ended; ``whole``: with its settings and its last figures, for tables.

        One process at a time may add.
        """
        if self.file is None or command.name in self._results:
            return
        line: dict[str, Any] = {"run": command.name, "result": asdict(result)}
        if whole:
            run = read_run(folder)
            told = {"comparison": {"method": command.method}}
            line |= line_of_run(replace(run, stored=without_places(run.stored) | told))
        self._add(line)
        self._results[command.name] = result

    def keep_judged(self, name: str, judged: Judged) -> None:
        """Add figures on the test classes. One process at a time may add."""
        if self.file is None or name in self._judged:
            return
        self._add({"judged": name, "figures": vars(judged)})
        self._judged[name] = judged

    def _add(self, line: Mapping[str, Any]) -> None:
        assert self.file is not None
        with self.file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, sort_keys=True) + "\n")

    def _read(self, file: Path) -> None:
        for number, text in enumerate(read_utf8(file).splitlines(), start=1):
            place = f"{file}, line {number}"
            line = json_object(text, place)
            try:
                if "run" in line:
                    self._results[str(line["run"])] = result_from(line["result"])
                else:
                    figures = line["figures"]
                    self._judged[str(line["judged"])] = Judged(tuple(figures["single"]), figures["concatenated"])
            except (KeyError, TypeError, ValueError, AttributeError):
                raise UserError(f"{place}: not a line of a comparison's record") from None


def without_places(config: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration, section by section, without what belongs to a machine; of files the name is left."""
    kept: dict[str, Any] = {}
    for section, values in config.items():
        if isinstance(values, Mapping):
            values = {key: value for key, value in values.items() if key not in PLACES}
            values = {key: Path(v).name if key in FILES and v else v for key, v in values.items()}
        kept[section] = values
    return kept
