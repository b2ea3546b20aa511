# SPDX-License-Identifier: Apache-2.0
"""What goes wrong. Every error has the place in the document, where it concerns one."""


class NmstateError(Exception):
    """The base of all: also raised for what has no class of its own.

    kind, path, line, column, interface, hint: as nmstated tells them (None: it does not).
    more: the other problems of the same document.
    """

    def __init__(self, message="", info=None):
        info = info or {}
        self.kind = info.get("kind")
        self.path = info.get("path")
        self.line = info.get("line")
        self.column = info.get("column")
        self.interface = info.get("interface")
        self.hint = info.get("hint")
        self.transaction = info.get("transaction")
        self.more = [of_info(one) for one in info.get("more") or []]
        super().__init__(message)


class NmstateDependencyError(NmstateError):
    """A service or a program that is needed is missing; also nmstated itself."""


class NmstateValueError(NmstateError, ValueError):
    """What was asked for cannot be: nothing was changed."""


class NmstatePolicyError(NmstateValueError):
    """A policy cannot be read or run."""


class NmstatePermissionError(NmstateError, PermissionError):
    """The caller may not do that."""


class NmstateConflictError(NmstateError, RuntimeError):
    """Another change is under way or awaits commit."""


class NmstateLibnmError(NmstateError):
    """Kept for those who catch it; never raised but as NmstateTimeoutError."""


class NmstateVerificationError(NmstateError):
    """The network did not come to be as asked, and is as it was before."""


class NmstateKernelIntegerRoundedError(NmstateVerificationError):
    """The kernel rounded a number."""


class NmstateNotImplementedError(NmstateError, NotImplementedError):
    """This daemon does not know how."""


class NmstateInternalError(NmstateError):
    """A defect of nmstated."""


class NmstateNotSupportedError(NmstateError):
    """This backend, kernel or device cannot do that."""


class NmstateTimeoutError(NmstateLibnmError):
    """It was not committed in time, and is as it was before."""


class NmstatePluginError(NmstateError):
    """The backend failed, and all is as it was before."""


_CLASSES = {
    "InvalidArgument": NmstateValueError,
    "PolicyError": NmstatePolicyError,
    "PluginFailure": NmstatePluginError,
    "Bug": NmstateInternalError,
    "VerificationError": NmstateVerificationError,
    "KernelIntegerRoundedError": NmstateKernelIntegerRoundedError,
    "NotImplementedError": NmstateNotImplementedError,
    "NotSupportedError": NmstateNotSupportedError,
    "DependencyError": NmstateDependencyError,
    "PermissionError": NmstatePermissionError,
    "CheckpointPending": NmstateConflictError,
    "Busy": NmstateConflictError,
    "Timeout": NmstateTimeoutError,
    "NotFound": NmstateValueError,
}


def of_info(info):
    """The error that an ErrorInfo of nmstated tells."""
    kind = info.get("kind", "Bug")
    place = f"{info['path']}: " if info.get("path") else ""
    hint = f" ({info['hint']})" if info.get("hint") else ""
    message = f"{kind}: {place}{info.get('message', '')}{hint}"
    return _CLASSES.get(kind, NmstateError)(message, info)
