# SPDX-License-Identifier: Apache-2.0
"""The network as it is."""

from .varlink import call


def show(*, kernel_only=False, include_status_data=False, include_secrets=False):
    """The present state. include_status_data changes nothing: everything is always shown."""
    return _show(kernel_only=kernel_only, show_secrets=include_secrets)


def show_running_config(include_secrets=False):
    """What is configured, without what was leased or learned."""
    return _show(running_config_only=True, show_secrets=include_secrets)


def _show(**options):
    options = {key: value for key, value in options.items() if value}
    return call("Show", options=options)["state"]
