# SPDX-License-Identifier: Apache-2.0
"""States as other programs say them."""

from .varlink import call


def generate_configurations(desired_state):
    """The keyfiles of NetworkManager, as {"NetworkManager": [(name, content), ...]}."""
    files = call("GenerateConfiguration", state=desired_state)["files"]
    return {"NetworkManager": [(file["name"], file["content"]) for file in files]}
