"""Every exception this project raises on purpose.

::

    ForemarginError
    ├── InputError                  the caller's data or argument is wrong   (exit code 2)
    │   ├── ShapeError              an array has the wrong shape
    │   └── NotEnoughHistoryError   too few periods for what was asked
    ├── ConvergenceError            an optimiser did not reach a solution    (exit code 3)
    ├── SourceError                 a source did not answer as it should     (exit code 4)
    └── GateError                   a finished backtest failed acceptance    (exit code 1)

A message says what must hold, what was found, and what to do about it.
"""


class ForemarginError(Exception):
    """Base of all errors raised on purpose; catch this to catch them all."""


class InputError(ForemarginError):
    """The caller's data, file or argument is wrong; nothing was written."""


class ShapeError(InputError):
    """An array does not have the shape its docstring asks for."""


class NotEnoughHistoryError(InputError):
    """There are too few periods for what was asked."""


class ConvergenceError(ForemarginError):
    """An optimiser did not reach a solution."""


class SourceError(ForemarginError):
    """A source on the network did not answer as it should.

    Attributes
    ----------
    status : int or None
        HTTP status of the answer that was no success; None if there was none.
    damaged : bool
        Whether an answer came and its content was wrong: not whole, or not in the known form.
    """

    def __init__(self, message: str, *, status: int | None = None, damaged: bool = False) -> None:
        super().__init__(message)
        self.status = status
        self.damaged = damaged


class GateError(ForemarginError):
    """A finished backtest failed an acceptance rule."""
