"""The record of a comparison: a file of JSON lines, small enough to be kept with code, of what its runs came to.

With it nothing is run twice, on any machine: the same plan with the same record has the same trials and tables,
although the run folders are gone. ``report.py`` reads the final runs in it like run folders.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from dml.compare.commands import FINAL, Command
from dml.compare.judging import Judged
from dml.compare.results import FINISHED, Result, result_from
from dml.errors import UserError
from dml.metrics_file import json_object, read_utf8
from dml.report.record import add_line, line_of_run
from dml.report.runs import read_run
from dml.writing import cut_off_rest


class Record:
    """What a file of JSON lines knows, and its end, where more is written.

    Args:
        file: need not exist; None: nothing is known and nothing is kept. Nothing is read before ``read_on``.
    """

    def __init__(self, file: Path | None):
        self.file = file
        self._results: dict[str, Result] = {}
        self._judged: dict[str, Judged] = {}
        self._lines = self._size = 0

    def read_on(self) -> None:
        """Read what is there and new: first of all, and what other processes have added since.

        One process at a time: a line that is not complete, of a machine that went down, is cut off.

        Raises:
            UserError: naming the file and the line that cannot be read.
        """
        if self.file is None or not self.file.is_file():
            return
        cut_off_rest(self.file)
        if (size := self.file.stat().st_size) != self._size:
            self._read(self.file)
            self._size = size

    def result(self, name: str) -> Result | None:
        """What the run of that name came to."""
        return self._results.get(name)

    def judged(self, name: str) -> Judged | None:
        """The figures on the test classes of that name."""
        return self._judged.get(name)

    def keep_result(self, command: Command, result: Result, folder: Path) -> None:
        """Add a run that has ended in ``folder``, with settings and figures for tables if it is a final one.

        One process at a time may add, which has read on before.
        """
        if self.file is None or command.name in self._results:
            return
        line: dict[str, Any] = {"run": command.name, "result": asdict(result)}
        if command.kind == FINAL and result.state == FINISHED:
            line |= line_of_run(read_run(folder), comparison={"method": command.method})
        add_line(self.file, line)
        self._results[command.name] = result

    def keep_judged(self, name: str, judged: Judged) -> None:
        """Add figures on the test classes. One process at a time may add, which has read on before."""
        if self.file is None or name in self._judged:
            return
        add_line(self.file, {"judged": name, "figures": vars(judged)})
        self._judged[name] = judged

    def _read(self, file: Path) -> None:
        lines = read_utf8(file).splitlines()
        for number, text in enumerate(lines[self._lines :], start=self._lines + 1):
            place = f"{file}, line {number}"
            line = json_object(text, place)
            try:
                if "config" in line and "result" not in line:  # of report.py
                    continue
                if "run" in line:
                    self._results[str(line["run"])] = result_from(line["result"])
                else:
                    figures = line["figures"]
                    self._judged[str(line["judged"])] = Judged(tuple(figures["single"]), figures["concatenated"])
            except (KeyError, TypeError, ValueError, AttributeError):
                raise UserError(f"{place}: not a line of a comparison's record") from None
        self._lines = len(lines)
