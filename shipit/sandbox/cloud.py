"""All the parts of one sandbox, put together and taken apart in the right order."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from ipaddress import IPv4Network
from typing import Any

from moto.cloudwatch.models import cloudwatch_backends
from moto.elbv2.models import elbv2_backends

from shipit.sandbox import ec2, elbv2
from shipit.sandbox.api import Api, Call
from shipit.sandbox.autoscaling import api as autoscaling_api
from shipit.sandbox.autoscaling.service import AutoScaling
from shipit.sandbox.chaos import Chaos
from shipit.sandbox.cloudwatch import api as cloudwatch_api
from shipit.sandbox.cloudwatch.alarms import Alarms
from shipit.sandbox.cloudwatch.meter import Meter, Point, hosts
from shipit.sandbox.cloudwatch.series import Series
from shipit.sandbox.inside import Inside
from shipit.sandbox.links import Ec2Link, GroupsLink, UtcClock, endpoint
from shipit.sandbox.patience import wait_for_named
from shipit.sandbox.seams import Balancer, Machines
from shipit.sandbox.seed import Seeded, seed
from shipit.sandbox.wire import Server

# How long a stopping instance's units may take; people wait for `terminated`, tests more than once.
_GRACE_SECONDS = {False: 10.0, True: 3.0}
# AWS publishes once a minute, and what it publishes can be read a minute or more later (field notes A10).
_PUBLISHED_SECONDS = {False: 60, True: 5}
_LAG_SECONDS = {False: 60.0, True: 1.0}


class Cloud:
    """One running sandbox. `network` is where its instances live; `api` is open to whoever wants to stand `around`
    calls.
    """

    def __init__(
        self,
        region: str,
        machines: Machines,
        balancer: Balancer,
        network: IPv4Network,
        metrics_lag: float | None = None,
        *,
        fast: bool,
    ) -> None:
        self.region = region
        self.network = network
        self.balancer = balancer
        self.ec2 = ec2.Ec2(region, machines, _GRACE_SECONDS[fast])
        ec2.install(self.ec2)
        self.load_balancing = elbv2.install(balancer, partial(endpoint, self.ec2), fast=fast)
        self.ec2.instances.on_change(lambda instance_id, _: self.load_balancing.instance_changed(instance_id))
        self._machines = machines
        self.chaos = Chaos(self._kill)
        balancer.meddle(self.chaos.flaps)
        self.auto_scaling = AutoScaling(
            Ec2Link(self.ec2, self.chaos.no_capacity), GroupsLink(self.load_balancing), UtcClock()
        )
        autoscaling_api.install(self.auto_scaling)
        self.auto_scaling.start()
        series = Series(_LAG_SECONDS[fast] if metrics_lag is None else metrics_lag)
        cloudwatch_api.install(series)
        self._alarms = Alarms(series, lambda: list(cloudwatch_backends[ec2.ACCOUNT][region].alarms.values()))
        self._meter = Meter(balancer.log_socket, series, balancer.names, self._hosts, _PUBLISHED_SECONDS[fast])
        self._alarms.start()
        self._meter.start()

    def serve(self, pages: Mapping[tuple[str, str], Callable[[bytes], object]], port: int) -> tuple[Api, Server]:
        """Opens the API on loopback; `port` 0 is any free one."""
        locks = {"ec2": self.ec2.lock, "elbv2": self.load_balancing.lock, "cloudwatch": self._alarms.lock}
        api = Api(
            {**pages, **self.chaos.pages()}, locks, before=partial(wait_for_named, self.ec2), after=self._follow_stacks
        )
        api.around = self.chaos.around
        server = Server(api.answer, port)
        server.start()
        return api, server

    def seed(self, api: Api, name: str) -> Seeded:
        return seed(self.ec2, Inside(api, self.region), self.network, name)

    def status(self) -> dict[str, Any]:
        """Listeners with where they are reached, instances, target groups: for people and tests."""
        return {
            "listeners": [_listener(listener, self.balancer) for listener in self._listeners()],
            "instances": [_instance(record) for record in self.ec2.instances.all() if record.state != "terminated"],
            "target_groups": [_target_group(group, self.balancer) for group in self._groups()],
        }

    def _follow_stacks(self, call: Call) -> None:
        """CloudFormation makes listeners and target groups without the ELBv2 API."""
        if call.service == "cloudformation" and not call.action.startswith(("Describe", "Get", "List")):
            self.load_balancing.sync()

    def _kill(self, wanted: str) -> str:
        """Ends an instance at once: by id, or `random` among those that run. Empty when there is none."""
        running = [one.id for one in self.ec2.instances.all() if one.state == "running"]
        chosen = random.choice(running) if wanted == "random" and running else wanted
        if chosen not in running:
            return ""
        self._machines.crash(chosen)
        return str(chosen)

    def _hosts(self) -> Iterator[Point]:
        for group in self._groups():
            states = [one.state for one in self.balancer.health(group.arn) if one.state != "draining"]
            for balancer_arn in list(group.load_balancer_arns):
                yield from hosts(
                    balancer_arn, group.arn, states.count("healthy"), len(states) - states.count("healthy")
                )

    def _groups(self) -> list[Any]:
        return list(elbv2_backends[ec2.ACCOUNT][self.region].target_groups.values())

    def _listeners(self) -> list[Any]:
        balancers = list(elbv2_backends[ec2.ACCOUNT][self.region].load_balancers.values())
        return [listener for balancer in balancers for listener in list(balancer.listeners.values())]

    def close(self) -> None:
        """Ends the loops first, so that nothing is launched into what goes away."""
        self._meter.close()
        self._alarms.close()
        self.auto_scaling.stop()
        self.ec2.instances.close()


def _instance(record: Any) -> dict[str, Any]:
    tags = {tag["key"]: tag["value"] for tag in record.get_tags()}
    return {
        "id": record.id,
        "address": record.private_ip,
        "state": record.state,
        "image_id": record.image_id,
        "zone": record.availability_zone,
        "name": tags.get("Name", ""),
    }


def _listener(listener: Any, balancer: Balancer) -> dict[str, Any]:
    return {"arn": listener.arn, "port": int(listener.port), "url": balancer.front_door(listener.arn)}


def _target_group(group: Any, balancer: Balancer) -> dict[str, Any]:
    health = {one.target.id: one.state for one in balancer.health(group.arn)}
    return {"name": group.name, "arn": group.arn, "targets": health}
