"""The life of an instance: moto keeps the record that callers read, a machine does what the record says.

A state changes twice, as on EC2: at once when asked (`pending`, `stopping`, `shutting-down`), and again when the
machine got there.
"""

from __future__ import annotations

import base64
import gzip
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import RLock
from typing import Any

from moto.ec2.models.instances import InstanceState, StateReason

from shipit.sandbox.seams import Boot, MachineError, Machines

log = logging.getLogger(__name__)

_CODES = {"pending": 0, "running": 16, "shutting-down": 32, "terminated": 48, "stopping": 64, "stopped": 80}
# Boots mostly wait for the kernel; more at once only make each one later.
_WORKERS = 6
# EC2 shows a terminated instance for about an hour; long fleets of tests would pile up here.
_SHOWN_SECONDS = 600.0
# An address comes back late, so that nobody still talks to its former owner.
_ADDRESS_REST_SECONDS = 30.0

Changed = Callable[[str, str], None]


class Instances:
    """Boots, stops, restarts and ends the instances of one region. Public methods are called with any or no lock
    held.

    `backend` is moto's EC2 backend, `lock` guards it, `disk_of` tells which machine image holds the disk of an AMI.
    Callbacks of `on_change` get an instance id and its new state, without a lock held.
    """

    def __init__(
        self, backend: Any, machines: Machines, lock: RLock, disk_of: Callable[[str], str], grace_seconds: float = 10.0
    ) -> None:
        self._backend = backend
        self._machines = machines
        self._lock = lock
        self._disk_of = disk_of
        self._grace_seconds = grace_seconds
        self._workers = ThreadPoolExecutor(_WORKERS, thread_name_prefix="instance")
        # Listeners take locks of their own, and some callers hold EC2's: only a thread without a lock may tell them.
        self._messenger = ThreadPoolExecutor(1, thread_name_prefix="instance-news")
        self._records: dict[str, Any] = {}
        self._turns: dict[str, RLock] = {}
        self._listeners: list[Changed] = []
        self._ended: deque[tuple[float, Any]] = deque()
        self._resting: deque[tuple[float, Any, str]] = deque()
        machines.on_exit(self._went_down)

    def on_change(self, callback: Changed) -> None:
        self._listeners.append(callback)

    def find(self, instance_id: str) -> Any | None:
        """The record, or None when there is none (any more)."""
        return self._records.get(instance_id)

    def all(self) -> list[Any]:
        return list(self._records.values())

    def launch(self, records: Iterable[Any]) -> None:
        """Boots what moto just recorded."""
        for record in records:
            self._records[record.id] = record
            # The only address that anybody reaches is the private one; a public one that moto invents would be
            # dialled in vain.
            for nic in record.nics.values():
                nic.public_ip = nic.public_ip and nic.private_ip_address
            self._set(record, "pending")
            self._workers.submit(self._boot, record)

    def start(self, record: Any) -> None:
        self._set(record, "pending")
        self._workers.submit(self._start, record)

    def stop(self, record: Any, *, force: bool = False) -> None:
        self._set(record, "stopping")
        self._workers.submit(self._stop, record, 0.0 if force else self._grace_seconds)

    def reboot(self, record: Any) -> None:
        self._workers.submit(self._reboot, record)

    def terminate(self, record: Any) -> None:
        self._set(record, "shutting-down")
        self._workers.submit(self._terminate, record)

    def console(self, instance_id: str) -> str:
        return self._machines.console(instance_id)

    def keep_disk(self, record: Any, disk: str, *, reboot: bool) -> None:
        """Keeps the disk as a machine image, after a clean stop when `reboot` and it runs (CreateImage without
        NoReboot).
        """
        with self._turn(record.id):
            restarts = reboot and record.state == "running"
            if restarts:
                self._machines.stop(record.id, grace_seconds=self._grace_seconds)
            try:
                self._machines.snapshot(record.id, disk)
            finally:
                if restarts:
                    self._machines.start(record.id)

    def submit(self, work: Callable[..., None], *args: Any) -> None:
        self._workers.submit(work, *args)

    def tidy(self) -> None:
        """Forgets what ended long ago and frees its addresses."""
        now = time.monotonic()
        with self._lock:
            while self._resting and self._resting[0][0] < now - _ADDRESS_REST_SECONDS:
                _, subnet, address = self._resting.popleft()
                subnet.del_subnet_ip(address)
            while self._ended and self._ended[0][0] < now - _SHOWN_SECONDS:
                self._forget(self._ended.popleft()[1])

    def close(self) -> None:
        for pool in (self._workers, self._messenger):
            pool.shutdown(wait=False, cancel_futures=True)

    def _turn(self, instance_id: str) -> RLock:
        """Jobs of one instance run one after the other."""
        with self._lock:
            return self._turns.setdefault(instance_id, RLock())

    def _set(self, record: Any, state: str, reason: str = "") -> None:
        with self._lock:
            record._state = InstanceState(state, _CODES[state])
            code, _, text = reason.partition(": ")
            record.state_reason = StateReason(reason if text else "", code if text else "")
            record._reason = reason
        for listener in self._listeners:
            self._messenger.submit(listener, record.id, state)

    def _boot(self, record: Any) -> None:
        with self._turn(record.id):
            if record.state != "pending":
                return
            try:
                self._machines.boot(self._wanted(record))
            except Exception as failure:  # noqa: BLE001 - whatever it was, EC2 ends such an instance
                log.warning("%s did not boot: %s", record.id, failure)
                self._end(record, "Server.InternalError: Internal error on launch")
                return
            if record.state == "pending":
                self._set(record, "running")

    def _wanted(self, record: Any) -> Boot:
        pair = self._backend.key_pairs.get(record.key_name) if record.key_name else None
        return Boot(
            instance_id=record.id,
            address=record.private_ip,
            hostname=record.private_dns_name.partition(".")[0],
            image_id=self._disk_of(record.image_id),
            user_data=plain_text(record.user_data),
            authorized_key=pair.public_key.strip() if pair else None,
        )

    def _start(self, record: Any) -> None:
        with self._turn(record.id):
            if record.state != "pending":
                return
            try:
                self._machines.start(record.id)
            except MachineError as failure:
                log.warning("%s did not start: %s", record.id, failure)
                self._set(record, "stopped", "Server.InternalError: Internal error on launch")
                return
            self._set(record, "running")

    def _stop(self, record: Any, grace_seconds: float) -> None:
        with self._turn(record.id):
            if record.state != "stopping":
                return
            self._machines.stop(record.id, grace_seconds=grace_seconds)
            self._set(record, "stopped", "Client.UserInitiatedShutdown: User initiated shutdown")

    def _reboot(self, record: Any) -> None:
        with self._turn(record.id):
            if record.state == "running":
                self._machines.stop(record.id, grace_seconds=self._grace_seconds)
                self._machines.start(record.id)

    def _terminate(self, record: Any) -> None:
        with self._turn(record.id):
            if record.state == "terminated":
                return
            if self._machines.is_running(record.id):
                self._machines.stop(record.id, grace_seconds=self._grace_seconds)
            self._end(record, "Client.UserInitiatedShutdown: User initiated shutdown")

    def _went_down(self, instance_id: str) -> None:
        """A shutdown from inside, or a crash of init: EC2 calls both "instance initiated"."""
        record = self.find(instance_id)
        if record is None or record.state not in ("pending", "running"):
            return
        reason = "Client.InstanceInitiatedShutdown: Instance initiated shutdown"
        if record.instance_initiated_shutdown_behavior == "terminate":
            self._set(record, "shutting-down")
            self._workers.submit(self._end, record, reason)
        else:
            self._set(record, "stopped", reason)

    def _end(self, record: Any, reason: str) -> None:
        self._machines.destroy(record.id)
        with self._lock:
            if record.state != "terminated":
                record.terminate()
                self._ended.append((time.monotonic(), record))
                subnet = self._backend.get_subnet(record.subnet_id)
                self._resting.extend((time.monotonic(), subnet, address) for address in record._private_ips)
                record._private_ips = set()
        self._set(record, "terminated", reason)

    def _forget(self, record: Any) -> None:
        for key, reservation in list(self._backend.reservations.items()):
            reservation.instances = [one for one in reservation.instances if one is not record]
            if not reservation.instances:
                del self._backend.reservations[key]
        forget_console = getattr(self._machines, "forget", None)
        if forget_console is not None:
            forget_console(record.id)
        self._turns.pop(record.id, None)
        self._records.pop(record.id, None)


def previous_states(records: Sequence[Any]) -> dict[str, Any]:
    """What StopInstances and its kin report as PreviousState, by instance id."""
    return {record.id: record.instance_state for record in records}


def plain_text(user_data: Any | None) -> str:
    """User data as cloud-init sees it: decoded, unpacked when gzipped."""
    if user_data is None:
        return ""
    raw = base64.b64decode(str(user_data))
    return (gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw).decode(errors="replace")
