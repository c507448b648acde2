"""A process that does what is left of a comparison, beside others that do the same."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from dml.compare.commands import Places
from dml.compare.judging import judge
from dml.compare.plan import Plan
from dml.compare.results import Result
from dml.compare.running import Stop, end, is_still_going, raise_for, start, train, wait_for
from dml.compare.state import Comparison, MethodState, Unit
from dml.compare.study import is_to_stop
from dml.errors import UserError
from dml.metric_names import metric_key, value_text
from dml.tracking import say
from dml.writing import locked

WAIT = 1.0  # seconds until a process looks again for something to do


@contextmanager
def held(out: Path) -> Iterator[None]:
    """While it is entered no other process reads or writes where the comparison stands.

    Raises:
        UserError: the file system has no locks.
    """
    out.mkdir(parents=True, exist_ok=True)
    try:
        lock = locked(out / ".lock")
    except (ImportError, OSError) as error:
        raise UserError(
            f"--out {out}: processes that share a comparison need a file system with locks ({error})"
        ) from None
    with lock:
        yield


class Worker:
    """Claims one unit after the other until nothing is left, and does it.

    A claim is the lock of a file, which goes with the process that holds it: what a killed one had begun, another
    goes on with.

    Args:
        data: name of the images.
        may_do: which units; the others stay undone.
    """

    def __init__(self, plan: Plan, places: Places, data: str, *, may_do: Callable[[Unit], bool] = lambda unit: True):
        self.comparison = Comparison(plan, places, data)
        self.plan, self.places, self.may_do = plan, places, may_do
        self.metric = metric_key(plan.protocol.select_metric)

    def look(self) -> list[MethodState]:
        """Where every method stands."""
        with held(self.places.out):
            return self.comparison.look()

    def work(self, *, waits: bool = True) -> list[MethodState]:
        """Do what is left, and wait for what others do.

        Args:
            waits: False: end as soon as all searches are over and others do what is left.

        Returns:
            where every method stands then: done, or as far as ``may_do`` goes.

        Raises:
            UserError: a run ended with an error.
            KeyboardInterrupt: this process, or its run, was asked to stop.
        """
        while True:
            Stop.check()
            states = self.look()
            units = [unit for unit in self.comparison.units(states) if self.may_do(unit)]
            if not units:
                return states
            if any(self._try(unit) for unit in units):
                continue
            if not waits and all(state.is_searched for state in states) and self.look() == states:
                return states
            time.sleep(WAIT)

    def _try(self, unit: Unit) -> bool:
        """Do ``unit``; False: another process has claimed it, or does it, or has done it."""
        claims = self.places.out / "claims"
        claims.mkdir(exist_ok=True)
        try:
            claim = locked(claims / f"{unit.name}.lock", wait=False)
        except BlockingIOError:
            return False
        with claim:
            return self._judge(unit) if unit.command is None else self._train(unit)

    def _train(self, unit: Unit) -> bool:
        command, protocol = unit.command, self.plan.protocol
        folder = self.comparison.folder(command)
        if is_still_going(folder) or (folder / "result.json").is_file():
            return False
        stop = partial(is_to_stop, protocol, earlier=unit.earlier, epochs=self.plan.budget.epochs)
        result = train(
            command,
            self.places,
            self.comparison.data,
            self.metric,
            keep=protocol.keep_trials or not unit.is_trial,
            **({"is_to_stop": stop} if unit.is_trial and unit.earlier else {}),
        )
        say(f"{command.name}: {self._told(result)}")
        return True

    def _told(self, result: Result) -> str:
        value = "" if result.value is None else f", {self.metric} {value_text(self.metric, result.value)}"
        return f"{result.state}{value}, {result.seconds:.0f} s"

    def _judge(self, unit: Unit) -> bool:
        if unit.file.is_file():
            return False
        output = self.places.out / "output" / f"{unit.name}.txt"
        process = start(_judge, [*map(str, unit.networks), str(unit.file)], output)
        try:
            wait_for(process)
        except BaseException:
            end(process)
            raise
        if process.exitcode:
            raise_for(process.exitcode, unit.name, output)
        say(f"{unit.name}: tested")
        return True


def _judge(words: list[str]) -> None:
    judge(words[:-1], words[-1])
