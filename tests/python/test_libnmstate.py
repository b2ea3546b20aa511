"""The Python module against a daemon that owns the network around it: where NMCTL_SOCKET says, in a
network namespace of its own, or in a machine of the lab. SCHEMA names a file with the JSON Schema of states."""

import json
import os
import unittest

import libnmstate
from libnmstate import error, schema
from libnmstate.nmpolicy import gen_net_state_from_policy
from libnmstate.schema import Interface, InterfaceIPv4, InterfaceState, InterfaceType
from libnmstate.validate import validate

NAME = "py0"


def bridge(**more):
    interface = {Interface.NAME: NAME, Interface.TYPE: InterfaceType.LINUX_BRIDGE, Interface.STATE: InterfaceState.UP}
    return {Interface.KEY: [{**interface, **more}]}


def shown():
    interfaces = libnmstate.show()[Interface.KEY]
    return next((one for one in interfaces if one[Interface.NAME] == NAME), None)


class Module(unittest.TestCase):
    def tearDown(self):
        try:
            libnmstate.rollback()
        except error.NmstateValueError:
            pass
        libnmstate.apply(bridge(state=InterfaceState.ABSENT))

    def test_a_state_is_applied_and_shown(self):
        address = {InterfaceIPv4.ADDRESS_IP: "192.0.2.7", InterfaceIPv4.ADDRESS_PREFIX_LENGTH: 24}
        ipv4 = {InterfaceIPv4.ENABLED: True, InterfaceIPv4.DHCP: False, InterfaceIPv4.ADDRESS: [address]}
        self.assertIsNone(libnmstate.apply(bridge(ipv4=ipv4, mtu=1400), kernel_only=True))
        self.assertEqual(shown()[Interface.MTU], 1400)
        self.assertEqual(shown()[Interface.IPV4][InterfaceIPv4.ADDRESS], [address])
        names = [one[Interface.NAME] for one in libnmstate.show_running_config()[Interface.KEY]]
        self.assertIn(NAME, names)

    def test_a_checkpoint_is_committed_or_rolled_back(self):
        checkpoint = libnmstate.apply(bridge(), commit=False, rollback_timeout=30)
        self.assertRegex(checkpoint, "^/io/nmstate/Daemon/checkpoint/[0-9]+$")
        with self.assertRaises(error.NmstateConflictError):
            libnmstate.apply(bridge(mtu=1300))
        libnmstate.rollback(checkpoint=checkpoint)
        self.assertIsNone(shown())
        with self.assertRaises(error.NmstateValueError):
            libnmstate.rollback(checkpoint=checkpoint)
        checkpoint = libnmstate.apply(bridge(), commit=False)
        libnmstate.commit(checkpoint=checkpoint)
        self.assertIsNotNone(shown())
        with self.assertRaises(error.NmstateValueError):
            libnmstate.commit(checkpoint="the last one")

    def test_what_is_wrong_is_told_with_its_place(self):
        with self.assertRaises(error.NmstateValueError) as raised:
            libnmstate.apply(bridge(mtuu=5))
        self.assertEqual(raised.exception.kind, "InvalidArgument")
        self.assertEqual(raised.exception.path, "interfaces[0].mtuu")
        self.assertIn("mtu", raised.exception.hint)
        self.assertIsInstance(raised.exception, ValueError)
        with self.assertRaises(error.NmstateValueError):
            validate(bridge(mtu="big"))
        self.assertEqual(validate(bridge(mtu=1400)), [])
        self.assertIsNone(shown())

    def test_without_a_daemon_the_dependency_is_missing(self):
        socket = os.environ.get("NMCTL_SOCKET", "")
        os.environ["NMCTL_SOCKET"] = "/nowhere/socket"
        try:
            with self.assertRaises(error.NmstateDependencyError):
                libnmstate.show()
        finally:
            os.environ["NMCTL_SOCKET"] = socket

    def test_a_policy_is_resolved_and_applied(self):
        libnmstate.apply(bridge(mtu=1400))
        policy = {
            "capture": {"it": f"interfaces.name == {NAME}", "big": "capture.it | interfaces.mtu := 1500"},
            "desired": {"interfaces": "{{ capture.big.interfaces }}"},
        }
        [resolved] = gen_net_state_from_policy(policy)[Interface.KEY]
        self.assertEqual(resolved[Interface.MTU], 1500)
        libnmstate.apply(policy)
        self.assertEqual(shown()[Interface.MTU], 1500)
        [elsewhere] = gen_net_state_from_policy(policy, bridge(mtu=9000))[Interface.KEY]
        self.assertEqual(elsewhere[Interface.MTU], 1500)
        with self.assertRaises(error.NmstatePolicyError):
            gen_net_state_from_policy(policy, {Interface.KEY: []})

    def test_documents_are_made_from_documents(self):
        changed = libnmstate.generate_differences(bridge(mtu=1400, description="lan"), bridge(mtu=1400))
        self.assertEqual(changed, bridge(description="lan"))
        self.assertEqual(libnmstate.generate_differences(bridge(), bridge()).get(Interface.KEY, []), [])
        [(name, content)] = libnmstate.generate_configurations(bridge(mtu=1400))["NetworkManager"]
        self.assertEqual(name, f"{NAME}.nmconnection")
        self.assertIn("mtu=1400", content)
        with self.assertRaises(error.NmstateValueError):
            libnmstate.generate_configurations({Interface.KEY: [{Interface.NAME: NAME, Interface.TYPE: "colour"}]})
        self.assertIsNone(shown())


class Names(unittest.TestCase):
    """Every name stands for a key or a word that a state can have."""

    # Words of other kinds: what a list of VLANs or an LLDP neighbour has, and what only older ones knew.
    OTHERS = {"other", "_description", "subtype", "oui", "multicast", "hash-elasticity", "ovs-port"}

    def test_the_schema_knows_them(self):
        with open(os.environ["SCHEMA"], encoding="utf-8") as file:
            known = words(json.load(file)) | self.OTHERS
        unknown = sorted({value for value in values(schema) if value not in known})
        self.assertEqual(unknown, [])


def values(thing):
    for name, value in vars(thing).items():
        if name.startswith("_"):
            continue
        if isinstance(value, type):
            yield from values(value)
        elif isinstance(value, str) and name.isupper():
            yield value


def words(node):
    """All keys and all words of enumerations."""
    if isinstance(node, list):
        return set().union(*map(words, node))
    if not isinstance(node, dict):
        return set()
    found = set(node.get("properties", {}))
    found |= {word for word in node.get("enum", []) if isinstance(word, str)}
    found |= {node["const"]} if isinstance(node.get("const"), str) else set()
    return found.union(*map(words, node.values()))


if __name__ == "__main__":
    unittest.main()
