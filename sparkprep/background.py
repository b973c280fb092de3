"""A call in a thread of its own: waited for as long as one likes, and then left alone."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Background(Generic[T]):
    """A call that has been begun. A program that ends does not wait for it."""

    def __init__(self, call: Callable[[], T], name: str) -> None:
        self._answers: list[T] = []
        self._errors: list[BaseException] = []
        self._thread = threading.Thread(target=self._run, args=(call,), name=name, daemon=True)
        self._thread.start()

    def has_ended(self, seconds: float | None = None) -> bool:
        """Wait so long at most, or until its end, and return whether it has ended."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def result(self) -> T:
        """Return what the call, which has ended, returned, or raise what it raised."""
        if self._errors:
            raise self._errors[0]
        return self._answers[0]

    def _run(self, call: Callable[[], T]) -> None:
        try:
            self._answers.append(call())
        except BaseException as error:  # it is raised where the answer is asked for
            self._errors.append(error)
