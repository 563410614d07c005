"""A training that is asked to stop, by SIGINT (Ctrl-C) or SIGTERM, ends between two steps."""

import signal

from utils import distributed
from utils.errors import Interrupted

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """While it is entered, the first signal asks to stop; a second one acts as it usually does."""

    def __init__(self):
        self.number = 0

    def __enter__(self) -> "Interruption":
        self.usual = {number: signal.signal(number, self._ask) for number in SIGNALS}
        return self

    def __exit__(self, *_) -> None:
        self._restore()

    def _ask(self, number: int, _frame) -> None:
        self.number = number
        self._restore()

    def _restore(self) -> None:
        for number, handler in self.usual.items():
            signal.signal(number, handler)

    def check(self) -> None:
        """Raise Interrupted in all processes when one of them was asked to stop."""
        if number := distributed.all_reduce_max(self.number):
            raise Interrupted(128 + number)
