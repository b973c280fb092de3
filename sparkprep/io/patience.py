"""How long a request to S3 is repeated: S3 may be overloaded for a while, or a server of its protocol started anew."""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable
from typing import Any, TypeVar

from botocore.exceptions import ConnectionClosedError, ConnectTimeoutError, EndpointConnectionError, ReadTimeoutError

from sparkprep.background import Background

T = TypeVar("T")

NO_ANSWER = (EndpointConnectionError, ConnectTimeoutError, ReadTimeoutError, ConnectionClosedError)
"""What botocore raises where nobody answers."""
FIRST_WAIT = 23.0
"""The first question to a bucket is given up after so many seconds: with a program's start, within 30."""
SECONDS = 120.0
ARROW_ATTEMPTS = 13
"""Arrow's pauses double from 50 ms on: 100 s in all."""
_LONGEST_PAUSE = 10.0
_AWAY = frozenset({500, 502, 503, 504})


def wait_out(client: Any, seconds: float = SECONDS) -> None:
    """Let a client of botocore repeat for so long what is not answered, or by S3 being overloaded or out of order.

    That is when its own rules have given up: in its standard mode within a second where nobody answers, and all
    requests of a client share some 35 repetitions.
    """

    def pause(
        response: tuple[Any, Any] | None, caught_exception: Exception | None, request_dict: dict[str, Any], **_: object
    ) -> float | None:
        is_busy = response is not None and response[0].status_code in _AWAY
        if not is_busy and not isinstance(caught_exception, NO_ANSWER):
            return None
        now = time.monotonic()
        waited = now - request_dict["context"].setdefault("away_since", now)
        return random.uniform(0.5, 1.0) * min(max(waited, 0.5), _LONGEST_PAUSE) if waited < seconds else None

    client.meta.events.register_last("needs-retry.s3", pause)


def within(seconds: float, ask: Callable[[], T]) -> T:
    """Return what `ask` returns, or raise what it raises. Raises ConnectTimeoutError where it takes longer.

    What limits a single request does not limit a question: names are looked up without a limit, a server may have
    many addresses, each of which is tried, and credentials may come from a server too.
    """
    question = Background(ask, "first question")
    if not question.has_ended(seconds):
        raise ConnectTimeoutError(endpoint_url=None)
    return question.result()


def in_task() -> bool:
    """Return whether a task of Spark's runs in this process: the driver has been answered by then."""
    spark = sys.modules.get("pyspark.taskcontext")
    return spark is not None and spark.TaskContext.get() is not None
