"""The errors of Auto Scaling, in AWS's words. Codes and texts: field notes B7, B8 and the issues named there."""

from __future__ import annotations

from moto.core.exceptions import ServiceException

PENDING_DELETE = "The AutoScaling group may not be modified while it is pending delete"


class AutoScalingError(ServiceException):  # type: ignore[misc]
    """An answer with an error code; HTTP 400 unless the service model says otherwise for the code."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)


def invalid(message: str) -> AutoScalingError:
    return AutoScalingError("ValidationError", message)


def group_not_found(name: str) -> AutoScalingError:
    return invalid(f"AutoScalingGroup name not found - AutoScalingGroup '{name}' not found")


def group_exists(name: str, *, deleting: bool) -> AutoScalingError:
    end = " and is pending delete" if deleting else ""
    return AutoScalingError(
        "AlreadyExists",
        f"AutoScalingGroup by this name already exists - A group with the name {name} already exists{end}",
    )


def instances_left() -> AutoScalingError:
    return AutoScalingError(
        "ResourceInUse",
        "You cannot delete an AutoScalingGroup while there are instances or pending Spot instance request(s) "
        "still in the group.",
    )


def activities_left() -> AutoScalingError:
    return AutoScalingError(
        "ScalingActivityInProgress",
        "You cannot delete an AutoScalingGroup while there are scaling activities in progress for that group.",
    )


def instance_not_found(instance_id: str) -> AutoScalingError:
    return invalid(f"Instance Id not found - No managed instance found for instance ID: {instance_id}")


def template_unusable(reason: str) -> AutoScalingError:
    return invalid(f"You must use a valid fully-formed launch template. {reason}")


def target_groups_invalid() -> AutoScalingError:
    return invalid("Provided Target Groups may not be valid. Please ensure they exist and try again.")
