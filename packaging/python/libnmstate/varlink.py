# SPDX-License-Identifier: Apache-2.0
"""One call to nmstated, over its varlink socket (https://varlink.org/Method-Call)."""

import json
import os
import socket

from . import error

SOCKET = "/run/nmstated/io.nmstate.Daemon"
INTERFACE = "io.nmstate.Daemon"


def call(method, **parameters):
    """The answer's parameters, or the error as an exception. What is None is not mentioned."""
    path = os.environ.get("NMCTL_SOCKET") or SOCKET
    parameters = {key: value for key, value in parameters.items() if value is not None}
    message = {"method": f"{INTERFACE}.{method}", "parameters": parameters}
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.connect(path)
            connection.sendall(json.dumps(message).encode() + b"\0")
            answer = json.loads(_receive(connection))
    except OSError as problem:
        raise error.NmstateDependencyError(f"nmstated cannot be asked at {path}: {problem}") from problem
    if "error" in answer:
        raise _refusal(answer["error"], answer.get("parameters", {}))
    return answer.get("parameters", {})


def _receive(connection):
    answer = bytearray()
    while not answer.endswith(b"\0"):
        part = connection.recv(1 << 16)
        if not part:
            raise ConnectionError("the connection was closed before the answer")
        answer += part
    return answer[:-1]


def _refusal(name, parameters):
    if "kind" in parameters:
        return error.of_info(parameters)
    # An error of the protocol itself: its parameters name the culprit.
    culprit = ", ".join(str(value) for value in parameters.values())
    kind = "PermissionError" if name.endswith(".PermissionDenied") else "NotImplementedError"
    return error.of_info({"kind": kind, "message": f"nmstated answered {name} {culprit}".strip()})
