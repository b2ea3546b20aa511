# SPDX-License-Identifier: Apache-2.0
"""Policies: states that are said by what is there."""

from .varlink import call


def gen_net_state_from_policy(policy, cur_state=None):
    """The state that a policy asks for where cur_state is; None: where the network is now."""
    if cur_state is not None:
        policy = {**policy, "current": cur_state}
    return call("ResolvePolicy", state=policy)["state"]
