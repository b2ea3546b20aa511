# SPDX-License-Identifier: Apache-2.0
"""The network of this host, through nmstated: for programs written for nmstate's Python module.

States are dictionaries in the nmstate schema. Every function raises a class of libnmstate.error.
"""

from . import error, schema
from .error import NmstateError
from .gen_conf import generate_configurations
from .gen_diff import generate_differences
from .netapplier import apply, commit, rollback
from .netinfo import show, show_running_config
from .nmpolicy import gen_net_state_from_policy

__all__ = [
    "NmstateError",
    "apply",
    "commit",
    "error",
    "gen_net_state_from_policy",
    "generate_configurations",
    "generate_differences",
    "rollback",
    "schema",
    "show",
    "show_running_config",
]

# The version of nmstate whose functions these are.
__version__ = "2.2.62"
BASE_ON_RUST = True
