# SPDX-License-Identifier: Apache-2.0
"""The network of this host, through nmstated: for programs written for nmstate's Python module.

States are dictionaries in the nmstate schema. Every function raises a class of libnmstate.error.
"""

from . import error, schema
from .error import NmstateError
from .varlink import call

__all__ = [
    "NmstateError",
    "apply",
    "commit",
    "error",
    "rollback",
    "schema",
    "show",
    "show_running_config",
]

# The version of nmstate whose functions these are.
__version__ = "2.2.62"
BASE_ON_RUST = True

_CHECKPOINT = "/io/nmstate/Daemon/checkpoint/"


def show(*, kernel_only=False, include_status_data=False, include_secrets=False):
    """The present state. include_status_data changes nothing: everything is always shown."""
    return _show(kernel_only=kernel_only, show_secrets=include_secrets)


def show_running_config(include_secrets=False):
    """What is configured, without what was leased or learned."""
    return _show(running_config_only=True, show_secrets=include_secrets)


def apply(
    desired_state,
    *,
    kernel_only=False,
    verify_change=True,
    save_to_disk=True,
    commit=True,
    rollback_timeout=60,
    override_iface=False,
):
    """Makes the network match a state, or a policy.

    commit=False: the answer is the name of a checkpoint; unless commit() gets it within
    rollback_timeout seconds, everything is put back, whatever becomes of this process.
    """
    if kernel_only and call("GetStatus")["status"]["backend"] != "kernel":
        message = "nmstated changes this network through its backend, not the kernel alone"
        raise error.NmstateNotSupportedError(message)
    options = {
        "commit": commit,
        "memory_only": not save_to_disk,
        "override_interfaces": override_iface,
        "timeout_s": rollback_timeout,
        "verify": verify_change,
    }
    transaction = call("Apply", state=desired_state, options=options)["transaction"]
    if transaction["stage"] != "awaiting-commit":
        return None
    return f"{_CHECKPOINT}{transaction['id']}"


def commit(*, checkpoint=None):
    """Keeps what awaits commit; without a checkpoint: the only one."""
    call("Commit", id=_id(checkpoint))


def rollback(*, checkpoint=None):
    """Puts back what awaits commit; without a checkpoint: the only one."""
    call("Rollback", id=_id(checkpoint))


def _show(**options):
    options = {key: value for key, value in options.items() if value}
    return call("Show", options=options)["state"]


def _id(checkpoint):
    if checkpoint is None:
        return None
    number = str(checkpoint).removeprefix(_CHECKPOINT)
    if not number.isdecimal():
        info = {"kind": "InvalidArgument", "message": f"there is no checkpoint {checkpoint!r}"}
        raise error.of_info(info)
    return int(number)
