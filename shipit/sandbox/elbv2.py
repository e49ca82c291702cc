"""Load balancing for the sandbox, put in the place of moto's: the one thing to call is `install`."""

from __future__ import annotations

from typing import Any

from moto.cloudformation import urls as cloudformation_urls
from moto.elb import urls as elb_urls
from moto.elbv2 import urls as elbv2_urls
from moto.elbv2.models import ELBv2Backend

from shipit.sandbox.elbv2_calls import SandboxELBV2
from shipit.sandbox.load_balancing import Endpoint, Instances, LoadBalancing
from shipit.sandbox.seams import Balancer

__all__ = ["Endpoint", "LoadBalancing", "SandboxELBV2", "install"]

API_VERSION = "2015-12-01"


def install(balancer: Balancer, instances: Instances, *, fast: bool = False) -> LoadBalancing:
    """Puts our ELBv2 in the place of moto's, for this process; returns what the rest of the sandbox needs of it.

    `instances` finds an instance by id. `fast` allows health checks every second, and runs them five times as often as
    they say.
    """
    plane = LoadBalancing(balancer, instances, fast=fast)
    ours: Any = type("InstalledELBV2", (SandboxELBV2,), {"plane": plane})
    classic = elb_urls.api_version_elb_backend

    def by_version(*args: Any, **kwargs: Any) -> Any:
        if args[0].values.get("Version") == API_VERSION:
            return ours.dispatch(*args, **kwargs)
        return classic(*args, **kwargs)

    for urls in (elb_urls, elbv2_urls):
        urls.url_paths["{0}/$"] = by_version
    _follow_cloudformation(plane)
    return plane


def _follow_cloudformation(plane: LoadBalancing) -> None:
    """CloudFormation changes moto's load balancers without an ELBv2 call; requests must follow all the same."""

    def following(handler: Any) -> Any:
        def answer(*args: Any, **kwargs: Any) -> Any:
            result = handler(*args, **kwargs)
            plane.sync()
            return result

        return answer

    for path, handler in cloudformation_urls.url_paths.items():
        cloudformation_urls.url_paths[path] = following(handler)
    # moto's own drops the ForwardConfig of a listener in a template, and fails when there is no TargetGroupArn.
    ELBv2Backend.convert_and_validate_properties = lambda _, properties: list(properties["DefaultActions"])
