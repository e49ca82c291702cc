"""The load balancer under real traffic: what users of a target group feel when weights, targets and health change."""

from __future__ import annotations

import asyncio
import http.client
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from shipit.sandbox.balancer import HaproxyBalancer
from shipit.sandbox.haproxy import HaproxyError
from shipit.sandbox.seams import Group, HealthCheck, Listener, Rule, Target

pytestmark = pytest.mark.skipif(shutil.which("haproxy") is None, reason="needs HAProxy")

CHECK = HealthCheck(interval_seconds=0.2, timeout_seconds=0.15, healthy_threshold=2, unhealthy_threshold=2)
LISTENER = "arn:listener"


@dataclass
class App:
    """A target: says its name, `/slow/1.5` after so many seconds, `/headers` what it was sent. It can be made sick."""

    name: str
    loop: asyncio.AbstractEventLoop
    health: int = 200
    port: int = 0
    server: asyncio.Server | None = None
    writers: set[asyncio.StreamWriter] = field(default_factory=set)

    def start(self) -> App:
        asyncio.run_coroutine_threadsafe(self._start(), self.loop).result()
        return self

    def kill(self) -> None:
        asyncio.run_coroutine_threadsafe(self._kill(), self.loop).result()

    def target(self, **changes: bool) -> Target:
        return Target(f"i-{self.name}", "127.0.0.1", self.port, **changes)

    async def _start(self) -> None:
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self.server.sockets[0].getsockname()[1]

    async def _kill(self) -> None:
        assert self.server is not None
        self.server.close()
        for writer in self.writers:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.add(writer)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                status, body = await self._answer(head.decode())
                writer.write(b"HTTP/1.1 %d x\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body))
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self.writers.discard(writer)
            writer.close()

    async def _answer(self, head: str) -> tuple[int, bytes]:
        path = head.split()[1]
        if path == "/":
            return (self.health, b"health") if "ELB-HealthChecker" in head else (200, self.name.encode())
        if path.startswith("/slow/"):
            await asyncio.sleep(float(path.removeprefix("/slow/")))
        return 200, head.encode() if path == "/headers" else self.name.encode()


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    yield loop
    asyncio.run_coroutine_threadsafe(cancel_all(), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


async def cancel_all() -> None:
    others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    await asyncio.sleep(0.05)


@pytest.fixture
def app(loop: asyncio.AbstractEventLoop) -> Callable[[str], App]:
    return lambda name: App(name, loop).start()


@pytest.fixture
def balancer(tmp_path: Path) -> Iterator[HaproxyBalancer]:
    balancer = HaproxyBalancer(tmp_path / "lb")
    yield balancer
    balancer.close()
    assert list((tmp_path / "lb").iterdir()) == []


def forward(*weights: tuple[str, int], sticky_seconds: int | None = None) -> dict[str, Any]:
    config: dict[str, Any] = {"TargetGroups": [{"TargetGroupArn": arn, "Weight": weight} for arn, weight in weights]}
    if sticky_seconds:
        config["TargetGroupStickinessConfig"] = {"Enabled": True, "DurationSeconds": sticky_seconds}
    return {"Type": "forward", "ForwardConfig": config}


def fixed(body: str, status: str = "200") -> dict[str, Any]:
    config = {"StatusCode": status, "ContentType": "text/plain", "MessageBody": body}
    return {"Type": "fixed-response", "FixedResponseConfig": config}


def listener(action: Mapping[str, Any], *rules: tuple[Sequence[Mapping[str, Any]], Mapping[str, Any]]) -> Listener:
    first = [Rule(f"r{n}", conditions, [action]) for n, (conditions, action) in enumerate(rules)]
    return Listener(LISTENER, 80, [*first, Rule("default", [], [action])])


def groups(*arns: str, drain_seconds: float = 1.0, **settings: Any) -> list[Group]:
    return [Group(arn, CHECK, drain_seconds=drain_seconds, referenced=True, **settings) for arn in arns]


def serve(balancer: HaproxyBalancer, **apps: App) -> None:
    """Every app in a group of its name, all healthy; the first one gets all requests."""
    balancer.set_groups(groups(*apps))
    balancer.set_listeners([listener(forward(*[(arn, int(not n)) for n, arn in enumerate(apps)]))])
    for arn, app in apps.items():
        balancer.register(arn, app.target())
    eventually(lambda: all(states(balancer, arn) == ["healthy"] for arn in apps))


def states(balancer: HaproxyBalancer, arn: str) -> list[str]:
    return [health.state for health in balancer.health(arn)]


def eventually(claim: Callable[[], bool], seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not claim():
        assert time.monotonic() < deadline, "never came true"
        time.sleep(0.01)


class Client:
    """One connection, kept alive."""

    def __init__(self, balancer: HaproxyBalancer) -> None:
        url = balancer.front_door(LISTENER)
        assert url is not None
        self._wire = http.client.HTTPConnection(url.removeprefix("http://"), timeout=10)

    def get(self, path: str = "/", method: str = "GET", **headers: str) -> tuple[int, str]:
        status, body, _ = self.full(path, method, **headers)
        return status, body

    def full(self, path: str = "/", method: str = "GET", **headers: str) -> tuple[int, str, http.client.HTTPMessage]:
        self._wire.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        answer = self._wire.getresponse()
        return answer.status, answer.read().decode(), answer.headers


@dataclass
class Load:
    """Requests from many kept-alive connections; when each began and ended, and what came back."""

    seen: list[tuple[float, float, str]] = field(default_factory=list)

    def answers(self) -> Counter[str]:
        return Counter(answer for _, _, answer in self.seen)

    def between(self, start: float, end: float) -> set[str]:
        return {answer for began, ended, answer in self.seen if start < began and ended < end}


@contextmanager
def load(
    balancer: HaproxyBalancer, loop: asyncio.AbstractEventLoop, clients: int = 10, pause: float = 0.02
) -> Iterator[Load]:
    seen, over = Load(), threading.Event()
    port = int(str(balancer.front_door(LISTENER)).rpartition(":")[2])

    async def client() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while not over.is_set():
            began = time.monotonic()
            try:
                writer.write(b"GET /some HTTP/1.1\r\nHost: shop.example\r\n\r\n")
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                length = int(head.split("content-length:")[1].split()[0])
                answer = f"{head.split()[1]} {(await reader.readexactly(length)).decode()[:1]}"
            except (OSError, asyncio.IncompleteReadError) as error:
                answer = f"broken: {error!r}"
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
            seen.seen.append((began, time.monotonic(), answer))
            await asyncio.sleep(max(0.0, began + pause - time.monotonic()))
        writer.close()

    tasks = [asyncio.run_coroutine_threadsafe(client(), loop) for _ in range(clients)]
    try:
        yield seen
    finally:
        over.set()
        for task in tasks:
            task.result(timeout=15)


def test_weights_are_switched_at_once_and_no_request_fails(
    balancer: HaproxyBalancer, app: Callable[[str], App], loop: asyncio.AbstractEventLoop
) -> None:
    serve(balancer, a=app("a"), b=app("b"))
    with load(balancer, loop) as seen:
        for turn in range(20):
            serving, idle = ("a", "b") if turn % 2 else ("b", "a")
            balancer.set_listeners([listener(forward((serving, 100), (idle, 0)))])
            switched = time.monotonic()
            time.sleep(0.05)
            assert seen.between(switched, time.monotonic()) <= {f"200 {serving}"}
    assert set(seen.answers()) == {"200 a", "200 b"}


def test_ten_percent_are_ten_percent(
    balancer: HaproxyBalancer, app: Callable[[str], App], loop: asyncio.AbstractEventLoop
) -> None:
    serve(balancer, a=app("a"), b=app("b"))
    balancer.set_listeners([listener(forward(("a", 90), ("b", 10)))])
    with load(balancer, loop, clients=20, pause=0) as seen:
        eventually(lambda: len(seen.seen) >= 10_000, seconds=60)
    total, share = len(seen.seen), seen.answers()["200 b"] / len(seen.seen)
    # Five standard deviations of a binomial: one false alarm in a million runs.
    assert abs(share - 0.1) < 5 * (0.1 * 0.9 / total) ** 0.5
    assert set(seen.answers()) == {"200 a", "200 b"}


def test_draining_and_reviving_under_load_fails_no_request(
    balancer: HaproxyBalancer, app: Callable[[str], App], loop: asyncio.AbstractEventLoop
) -> None:
    first, second = app("a"), app("b")
    serve(balancer, a=first)
    balancer.register("a", second.target())
    with load(balancer, loop) as seen:
        eventually(lambda: seen.answers()["200 b"] > 0)
        for _ in range(5):
            balancer.deregister("a", "i-b")
            drained = time.monotonic()
            time.sleep(0.15)
            assert seen.between(drained, time.monotonic()) == {"200 a"}
            balancer.register("a", second.target())
            eventually(lambda: states(balancer, "a") == ["healthy", "healthy"])
        balancer.deregister("a", "i-b")
        eventually(lambda: states(balancer, "a") == ["healthy"])
        second.kill()
        time.sleep(0.3)
    assert set(seen.answers()) == {"200 a", "200 b"}


def test_a_long_request_finishes_where_it_is(balancer: HaproxyBalancer, app: Callable[[str], App]) -> None:
    serve(balancer, a=app("a"), b=app("b"))
    answers: list[tuple[int, str]] = []
    thread = threading.Thread(target=lambda: answers.append(Client(balancer).get("/slow/0.6")))
    thread.start()
    time.sleep(0.2)
    balancer.set_listeners([listener(forward(("b", 1)))])
    balancer.deregister("a", "i-a")
    assert Client(balancer).get() == (200, "b")
    thread.join()
    assert answers == [(200, "a")]


def test_a_request_longer_than_the_delay_is_cut_and_the_target_forgotten(
    balancer: HaproxyBalancer, app: Callable[[str], App]
) -> None:
    serve(balancer, a=app("a"))
    balancer.set_groups(groups("a", drain_seconds=0.3))
    outcomes: list[object] = []

    def ask() -> None:
        try:
            outcomes.append(Client(balancer).get("/slow/5")[0])
        except (OSError, http.client.HTTPException) as error:
            outcomes.append(type(error))

    thread = threading.Thread(target=ask)
    thread.start()
    time.sleep(0.2)
    balancer.deregister("a", "i-a")
    assert states(balancer, "a") == ["draining"]
    thread.join(timeout=2)
    assert len(outcomes) == 1
    assert outcomes != [200]
    assert states(balancer, "a") == []


def test_a_target_that_dies_while_draining_is_forgotten(balancer: HaproxyBalancer, app: Callable[[str], App]) -> None:
    first = app("a")
    serve(balancer, a=first)
    balancer.set_groups(groups("a", drain_seconds=60))
    balancer.deregister("a", "i-a")
    balancer.update_target("a", first.target(runs=False))
    assert states(balancer, "a") == []


def test_an_empty_group_is_503_and_does_not_fail_over(balancer: HaproxyBalancer, app: Callable[[str], App]) -> None:
    serve(balancer, a=app("a"))
    balancer.set_groups(groups("a", "empty"))
    balancer.set_listeners([listener(forward(("a", 0), ("empty", 1)))])
    status, body, headers = Client(balancer).full()
    assert (status, headers["Server"]) == (503, "awselb/2.0")
    assert "503 Service Temporarily Unavailable" in body
    assert Client(balancer).get()[0] == 503


def test_a_dead_target_is_502_and_not_retried_elsewhere(balancer: HaproxyBalancer, app: Callable[[str], App]) -> None:
    first, second = app("a"), app("b")
    serve(balancer, a=first, b=second)
    first.kill()
    assert Client(balancer).get()[0] == 502
    assert balancer.counters()["a"]["connection_errors"] >= 1


def test_health_decides_who_serves_and_fails_open_when_none_is_healthy(
    balancer: HaproxyBalancer, app: Callable[[str], App]
) -> None:
    first, second = app("a"), app("b")
    serve(balancer, web=first)
    balancer.register("web", second.target())
    eventually(lambda: states(balancer, "web") == ["healthy", "healthy"])
    first.health = 500
    eventually(lambda: states(balancer, "web") == ["unhealthy", "healthy"])
    assert {Client(balancer).get() for _ in range(6)} == {(200, "b")}
    unhealthy = balancer.health("web")[0]
    assert (unhealthy.reason, unhealthy.description) == (
        "Target.ResponseCodeMismatch",
        "Health checks failed with these codes: [500]",
    )
    second.health = 404
    eventually(lambda: states(balancer, "web") == ["unhealthy", "unhealthy"])
    assert {Client(balancer).get() for _ in range(6)} == {(200, "a"), (200, "b")}
    first.health = 200
    eventually(lambda: states(balancer, "web") == ["healthy", "unhealthy"])
    assert {Client(balancer).get() for _ in range(6)} == {(200, "a")}


def test_checks_run_only_for_groups_that_are_referenced(balancer: HaproxyBalancer, app: Callable[[str], App]) -> None:
    balancer.set_groups([Group("a", CHECK)])
    balancer.register("a", app("a").target())
    time.sleep(0.5)
    assert [(h.state, h.reason) for h in balancer.health("a")] == [("unused", "Target.NotInUse")]
    balancer.set_groups(groups("a"))
    assert states(balancer, "a") == ["initial"]
    eventually(lambda: states(balancer, "a") == ["healthy"])


def test_a_changed_check_takes_effect_at_once(balancer: HaproxyBalancer, app: Callable[[str], App]) -> None:
    serve(balancer, a=app("a"))
    strict = HealthCheck(interval_seconds=0.1, timeout_seconds=0.1, unhealthy_threshold=2, matcher="299")
    balancer.set_groups([Group("a", strict, referenced=True)])
    assert states(balancer, "a") == ["healthy"]
    eventually(lambda: states(balancer, "a") == ["unhealthy"], seconds=1)


def test_a_stopped_instance_gets_nothing_until_it_runs_again(
    balancer: HaproxyBalancer, app: Callable[[str], App]
) -> None:
    first = app("a")
    serve(balancer, a=first)
    balancer.update_target("a", first.target(runs=False))
    assert [h.reason for h in balancer.health("a")] == ["Target.InvalidState"]
    assert Client(balancer).get()[0] == 503
    balancer.update_target("a", first.target())
    eventually(lambda: states(balancer, "a") == ["healthy"])
    assert Client(balancer).get() == (200, "a")


CONDITIONS: list[tuple[str, dict[str, Any], dict[str, Any], bool]] = [
    ("path", {"Field": "path-pattern", "Values": ["/api/*"]}, {"path": "/api/v1?x=/no"}, True),
    ("path is case sensitive", {"Field": "path-pattern", "Values": ["/api/*"]}, {"path": "/API/v1"}, False),
    (
        "path is anchored",
        {"Field": "path-pattern", "PathPatternConfig": {"Values": ["/a?i"]}},
        {"path": "/api/"},
        False,
    ),
    (
        "one character",
        {"Field": "path-pattern", "PathPatternConfig": {"Values": ["/a.i", "/a?i"]}},
        {"path": "/api"},
        True,
    ),
    ("host", {"Field": "host-header", "Values": ["*.Example.com"]}, {"Host": "shop.EXAMPLE.com:8443"}, True),
    ("other host", {"Field": "host-header", "Values": ["*.example.com"]}, {"Host": "example.com"}, False),
    (
        "header",
        {"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": "X-Preview", "Values": ["v4*", "b"]}},
        {"x_preview": "V42"},
        True,
    ),
    (
        "no such header",
        {"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": "X-Preview", "Values": ["*"]}},
        {},
        False,
    ),
    (
        "method",
        {"Field": "http-request-method", "HttpRequestMethodConfig": {"Values": ["POST"]}},
        {"method": "POST"},
        True,
    ),
    (
        "query key and value",
        {"Field": "query-string", "QueryStringConfig": {"Values": [{"Key": "v", "Value": "4*"}]}},
        {"path": "/?a=1&V=42"},
        True,
    ),
    (
        "query value only",
        {"Field": "query-string", "QueryStringConfig": {"Values": [{"Value": "*2"}]}},
        {"path": "/?a=1&v=42"},
        True,
    ),
    (
        "other query",
        {"Field": "query-string", "QueryStringConfig": {"Values": [{"Key": "v", "Value": "1"}]}},
        {"path": "/?a=1&v=42"},
        False,
    ),
    ("source", {"Field": "source-ip", "SourceIpConfig": {"Values": ["10.0.0.0/8", "127.0.0.0/8"]}}, {}, True),
    ("other source", {"Field": "source-ip", "SourceIpConfig": {"Values": ["10.0.0.0/8", "::1/128"]}}, {}, False),
]


@pytest.mark.parametrize(("condition", "asked", "matches"), [c[1:] for c in CONDITIONS], ids=[c[0] for c in CONDITIONS])
def test_conditions(balancer: HaproxyBalancer, condition: Any, asked: dict[str, str], matches: bool) -> None:
    balancer.set_listeners([listener(fixed("default"), ([condition], fixed("rule")))])
    assert Client(balancer).get(**asked) == (200, "rule" if matches else "default")


def test_all_conditions_of_the_first_rule_that_matches(balancer: HaproxyBalancer) -> None:
    path: dict[str, Any] = {"Field": "path-pattern", "Values": ["/a*"]}
    post: dict[str, Any] = {"Field": "http-request-method", "HttpRequestMethodConfig": {"Values": ["POST"]}}
    rules = ([path, post], fixed("first")), ([path], fixed("second"))
    balancer.set_listeners([listener(fixed("default"), *rules)])
    assert Client(balancer).get("/a", "POST") == (200, "first")
    assert Client(balancer).get("/a") == (200, "second")
    assert Client(balancer).get("/b", "POST") == (200, "default")


def test_fixed_response_with_any_text(balancer: HaproxyBalancer) -> None:
    text = 'back "soon" \\ ü\n#{host}'
    balancer.set_listeners([listener(fixed(text, "503"))])
    client = Client(balancer)
    for method in ("GET", "POST"):
        status, body, headers = client.full(method=method)
        assert (status, body, headers["Content-Type"]) == (503, text, "text/plain")


@pytest.mark.parametrize(
    ("config", "location"),
    [
        ({"Protocol": "HTTPS", "Port": "443"}, "https://shop.example:443/a/b?c=d"),
        ({"Host": "www.#{host}", "Path": "/new/#{path}", "Query": ""}, "http://www.shop.example:80/new/a/b"),
    ],
)
def test_redirects(balancer: HaproxyBalancer, config: dict[str, str], location: str) -> None:
    balancer.set_listeners([listener({"Type": "redirect", "RedirectConfig": {"StatusCode": "HTTP_301", **config}})])
    status, _, headers = Client(balancer).full("/a/b?c=d", Host="shop.example")
    assert (status, headers["Location"]) == (301, location)


def test_authentication_is_passed_over(balancer: HaproxyBalancer) -> None:
    login = {"Type": "authenticate-oidc", "Order": 1, "AuthenticateOidcConfig": {}}
    rule = Rule("default", [], [login, {**fixed("in"), "Order": 2}])
    balancer.set_listeners([Listener(LISTENER, 443, [rule])])
    assert Client(balancer).get() == (200, "in")


def test_targets_see_who_asked(balancer: HaproxyBalancer, app: Callable[[str], App]) -> None:
    serve(balancer, a=app("a"))
    head = Client(balancer).get("/headers", X_Forwarded_For="192.0.2.1")[1].lower()
    assert "x-forwarded-for: 192.0.2.1, 127.0.0.1\r\n" in head
    assert "x-forwarded-proto: http\r\nx-forwarded-port: 80\r\n" in head
    assert "x-amzn-trace-id: root=1-" in head


def test_a_group_cookie_beats_weights_until_its_group_leaves_the_action(
    balancer: HaproxyBalancer, app: Callable[[str], App]
) -> None:
    serve(balancer, a=app("a"), b=app("b"))
    balancer.set_listeners([listener(forward(("a", 1), ("b", 0), sticky_seconds=60))])
    headers = Client(balancer).full()[2]
    names = [cookie.partition("=")[0] for cookie in headers.get_all("Set-Cookie", [])]
    assert names == ["AWSALBTG", "AWSALBTGCORS"]
    cookie = headers["Set-Cookie"].partition(";")[0]
    balancer.set_listeners([listener(forward(("a", 0), ("b", 1), sticky_seconds=60))])
    assert Client(balancer).get()[1] == "b"
    assert Client(balancer).get(Cookie=cookie)[1] == "a"
    balancer.set_listeners([listener(forward(("b", 1), sticky_seconds=60))])
    assert Client(balancer).get(Cookie=cookie)[1] == "b"
    balancer.set_listeners([listener(forward(("a", 0), ("b", 1)))])
    assert Client(balancer).get(Cookie=cookie)[1] == "b"


def test_a_target_cookie_keeps_a_client_on_its_target_while_it_serves(
    balancer: HaproxyBalancer, app: Callable[[str], App]
) -> None:
    first, second = app("a"), app("b")
    serve(balancer, web=first)
    balancer.set_groups(groups("web", stickiness_seconds=60))
    balancer.register("web", second.target())
    eventually(lambda: states(balancer, "web") == ["healthy", "healthy"])
    _, name, headers = Client(balancer).full()
    cookie = headers["Set-Cookie"].partition(";")[0]
    assert cookie.startswith("AWSALB=")
    assert {Client(balancer).get(Cookie=cookie)[1] for _ in range(6)} == {name}
    balancer.deregister("web", f"i-{name}")
    assert Client(balancer).get(Cookie=cookie)[1] == {"a": "b", "b": "a"}[name]


def test_counters_outlive_servers_and_not_groups(balancer: HaproxyBalancer, app: Callable[[str], App]) -> None:
    first = app("a")
    serve(balancer, a=first)
    client = Client(balancer)
    for _ in range(7):
        client.get()
    assert balancer.counters()["a"] == {"requests": 7, "2xx": 7, "3xx": 0, "4xx": 0, "5xx": 0, "connection_errors": 0}
    balancer.set_groups(groups("a", drain_seconds=0))
    balancer.deregister("a", "i-a")
    eventually(lambda: states(balancer, "a") == [])
    time.sleep(0.2)
    balancer.register("a", first.target())
    client.get()
    assert balancer.counters()["a"]["requests"] == 8
    balancer.set_groups([])
    balancer.set_groups(groups("a"))
    assert balancer.counters()["a"]["requests"] == 0


def test_groups_come_and_go_without_using_up_the_room_for_them(
    balancer: HaproxyBalancer, app: Callable[[str], App]
) -> None:
    target = app("a").target()
    for number in range(400):
        balancer.set_groups(groups(f"g{number}"))
        balancer.register(f"g{number}", target)
        if number % 50 == 0:
            time.sleep(0.1)
    with pytest.raises(HaproxyError, match="room for"):
        balancer.set_groups(groups(*[f"h{number}" for number in range(200)]))


def test_listener_ports_are_kept(tmp_path: Path) -> None:
    first = HaproxyBalancer(tmp_path / "one")
    first.set_listeners([listener(fixed("x"))])
    port = int(str(first.front_door(LISTENER)).rpartition(":")[2])
    with pytest.raises(HaproxyError, match="is taken"):
        HaproxyBalancer(tmp_path / "two", [port])
    first.close()
    second = HaproxyBalancer(tmp_path / "two", [port])
    second.set_listeners([listener(fixed("x"))])
    assert second.front_door(LISTENER) == f"http://127.0.0.1:{port}"
    assert second.front_door("arn:other") is None
    second.close()


def test_without_haproxy_the_error_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    with pytest.raises(HaproxyError, match="haproxy is not installed"):
        HaproxyBalancer(tmp_path / "lb")


def test_haproxy_dies_with_its_parent(tmp_path: Path) -> None:
    code = (
        "import sys, time, pathlib; from shipit.sandbox.balancer import HaproxyBalancer\n"
        "balancer = HaproxyBalancer(pathlib.Path(sys.argv[1])); print(balancer.pid, flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "lb")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        os.kill(child, 0)
        parent.send_signal(signal.SIGKILL)
    eventually(lambda: not alive(child))


def alive(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
