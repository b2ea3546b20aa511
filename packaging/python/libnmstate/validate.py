# SPDX-License-Identifier: Apache-2.0
"""Checks without changes."""

from .varlink import call


def validate(new_state):
    """Raises what applying would be refused with; the answer is a list of warnings."""
    return call("Validate", state=new_state)["warnings"]
