# A bridge that has no ports gets an internal interface of its name; with another port in its place, and back. A
# bridge that is to have none at all has none.
trap 'echo "interfaces: [{name: ovs5, type: ovs-bridge, state: absent}, {name: in5, type: ovs-interface, state: absent}]" | nmctl apply - || true' EXIT
lacks_bridge() { ! ovs-vsctl br-exists ovs5; }
bridge() { # [port]
  cat <<DOCUMENT
interfaces:
- name: ovs5
  type: ovs-bridge
  bridge: {options: {fail-mode: secure}, port: [${1:+{name: $1\}}]}
DOCUMENT
  [ $# = 0 ] || printf -- '- {name: %s, type: ovs-interface}\n' "$1"
}
ports() { ovs-vsctl list-ports ovs5; }
bridge | nmctl apply -
ovs-vsctl br-exists ovs5
[ "$(ovs-vsctl get-fail-mode ovs5)" = secure ]
bridge | nmctl plan --exit-code -
bridge in5 | nmctl apply -
[ "$(ports)" = in5 ]
bridge | nmctl apply --no-commit -
ovs-vsctl br-exists ovs5
nmctl rollback
[ "$(ports)" = in5 ]
bridge in5 | nmctl plan --exit-code -
echo 'interfaces: [{name: ovs5, type: ovs-bridge, state: absent}, {name: in5, type: ovs-interface, state: absent}]' | nmctl apply -
lacks_bridge
