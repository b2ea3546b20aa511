# SPDX-License-Identifier: Apache-2.0
"""Changes of the network."""

from . import error
from .varlink import call

_CHECKPOINT = "/io/nmstate/Daemon/checkpoint/"


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
    options = {
        "backend": "kernel" if kernel_only else None,
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


def _id(checkpoint):
    if checkpoint is None:
        return None
    number = str(checkpoint).removeprefix(_CHECKPOINT)
    if not number.isdecimal():
        info = {"kind": "InvalidArgument", "message": f"there is no checkpoint {checkpoint!r}"}
        raise error.of_info(info)
    return int(number)
