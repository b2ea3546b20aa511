# SPDX-License-Identifier: Apache-2.0
"""Documents of what differs."""

from .varlink import call


def generate_differences(new_state, old_state):
    """What of new_state would change something where the network is as old_state."""
    return call("GenerateDifference", state=new_state, oldState=old_state)["state"]
