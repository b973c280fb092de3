"""A server of S3's protocol that is away for a while is waited for; what will not change is told at once."""

import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from botocore.exceptions import BotoCoreError, ClientError, ConnectTimeoutError
from proxy import Proxy, Request, in_front_of
from s3_buckets import put

from sparkprep.errors import UserError
from sparkprep.io import aws
from sparkprep.io.files import exists, open_input, write_text
from sparkprep.io.patience import FIRST_WAIT, wait_out, within

SECONDS = 3.0
"""Longer than botocore's own attempts take where nobody answers."""


@pytest.fixture
def proxy(bucket: str, s3_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """What stands between us and the server, and has answered before."""
    put("in/a", "content")
    with in_front_of(s3_server) as running:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", running.url)
        assert exists("s3://bucket/in/a")
        yield running


def busy_for(seconds: float) -> Callable[[Request], bool]:
    end = time.monotonic() + seconds
    return lambda request: time.monotonic() < end


def test_a_server_that_is_overloaded_for_a_while_is_waited_for(proxy: Proxy) -> None:
    with proxy.meddling(busy_for(SECONDS)):
        write_text("s3://bucket/out/b", "new")
    with proxy.meddling(busy_for(SECONDS)), open_input("s3://bucket/in/a") as stream:
        assert stream.read() == b"content"


def test_a_server_that_is_gone_for_a_while_is_waited_for(proxy: Proxy, s3_server: str) -> None:
    end = time.monotonic() + SECONDS

    def meddle(request: Request) -> bool:
        proxy.server = s3_server if time.monotonic() > end else "http://127.0.0.1:1"
        return False

    with proxy.meddling(meddle):
        write_text("s3://bucket/out/c", "new")
    assert time.monotonic() > end


def test_patience_ends(proxy: Proxy) -> None:
    client = aws._client(None, None, attempts=2)
    wait_out(client, seconds=1)
    begun = time.monotonic()
    with proxy.meddling(lambda request: True), pytest.raises((ClientError, BotoCoreError)):
        client.head_object(Bucket="bucket", Key="in/a")
    assert 1 <= time.monotonic() - begun < 60  # of the minutes that it is without the limit


def test_what_will_not_change_is_told_at_once(proxy: Proxy) -> None:
    with proxy.meddling(lambda request: False):
        with pytest.raises(UserError, match="No such file"):
            open_input("s3://bucket/in/none")
        assert proxy.requests <= 3


def test_a_question_is_answered_fails_as_it_does_or_is_given_up() -> None:
    def refuse() -> None:
        raise UserError("no")

    assert within(60, lambda: "answer") == "answer"
    with pytest.raises(UserError, match="no"):
        within(60, refuse)
    never = threading.Event()
    with pytest.raises(ConnectTimeoutError):
        within(0.05, never.wait)
    never.set()


def test_names_that_nobody_resolves_do_not_hold_a_program(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    never, resolve = threading.Event(), socket.getaddrinfo

    def silent(host: str, *words: object, **more: object) -> object:
        return never.wait() and resolve(host, *words, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(aws, "FIRST_WAIT", 0.1)
    monkeypatch.setattr(socket, "getaddrinfo", silent)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://s3.silent.test:8000")
    with pytest.raises(UserError, match=r"no connection to S3 at http://s3\.silent\.test:8000; check the network"):
        exists("s3://bucket/key")
    never.set()


def test_who_hands_out_credentials_is_asked_as_impatiently_as_s3() -> None:
    sts = aws.session().client("sts", region_name="us-east-1").meta.config
    attempts, longest_pauses = sts.retries["total_max_attempts"], 3
    assert attempts * max(sts.read_timeout, sts.connect_timeout) + longest_pauses <= FIRST_WAIT
