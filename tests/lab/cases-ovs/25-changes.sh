# A bridge that is there already, and every kind of change of it: each is applied and rolled back, applied and reverted.
source ./peers
source ./examples
trap 'nmctl rollback || true
  echo "interfaces: [{name: ovs5, type: ovs-bridge, state: absent}, {name: in5, type: ovs-interface, state: absent}]" | nmctl apply -
  peers_gone' EXIT
peer eth1 192.0.2 2001:db8:1
peer eth2 203.0.113 2001:db8:3
udevadm settle
cat >base.yml <<'DOCUMENT'
interfaces:
- {name: eth2, type: ethernet, ipv4: {enabled: false}, ipv6: {enabled: false}}
- name: ovs5
  type: ovs-bridge
  ovs-db: {external_ids: {bridge: first}, other_config: {}}
  bridge:
    options: {fail-mode: standalone}
    port:
    - {name: eth1, vlan: {mode: trunk, trunk-tags: [{id: 10}, {id: 20}]}}
    - {name: in5, vlan: {mode: access, tag: 10}}
- {name: eth1, type: ethernet, ovs-db: {external_ids: {card: one}, other_config: {}}}
- name: in5
  type: ovs-interface
  ipv4: {enabled: true, address: [{ip: 192.0.2.65, prefix-length: 24}]}
DOCUMENT
change() { # name, and the document
  cat >"$1.yml"
  changes+=("$1.yml")
}
changes=()
change tags <<'DOCUMENT'
interfaces:
- name: ovs5
  type: ovs-bridge
  bridge:
    port:
    - {name: eth1, vlan: {mode: trunk, trunk-tags: [{id: 30}]}}
    - {name: in5, vlan: {mode: access, tag: 30}}
DOCUMENT
change options <<'DOCUMENT'
interfaces:
- name: ovs5
  type: ovs-bridge
  ovs-db: {external_ids: {other: second}, other_config: {mac-table-size: 4096}}
  bridge: {options: {fail-mode: secure, mcast-snooping-enable: true}}
DOCUMENT
change lost-port <<'DOCUMENT'
interfaces: [{name: ovs5, type: ovs-bridge, bridge: {port: [{name: in5, vlan: {mode: access, tag: 10}}]}}]
DOCUMENT
change bond <<'DOCUMENT'
interfaces:
- name: ovs5
  type: ovs-bridge
  bridge:
    port:
    - {name: bond5, link-aggregation: {mode: active-backup, port: [{name: eth1}, {name: eth2}]}}
    - {name: in5, vlan: {mode: access, tag: 10}}
DOCUMENT
change other-bridge <<'DOCUMENT'
interfaces:
- {name: ovs5, type: ovs-bridge, bridge: {port: [{name: in5, vlan: {mode: access, tag: 10}}]}}
- {name: ovs6, type: ovs-bridge, bridge: {port: [{name: eth1}]}}
DOCUMENT
change linux-bridge <<'DOCUMENT'
interfaces:
- {name: ovs5, type: ovs-bridge, bridge: {port: [{name: in5, vlan: {mode: access, tag: 10}}]}}
- {name: br5, type: linux-bridge, bridge: {port: [{name: eth1}]}}
DOCUMENT
change detached <<'DOCUMENT'
interfaces: [{name: eth1, type: ethernet, controller: ''}]
DOCUMENT
change attached <<'DOCUMENT'
interfaces: [{name: eth2, type: ethernet, controller: ovs5}]
DOCUMENT
change interface <<'DOCUMENT'
interfaces:
- name: in5
  type: ovs-interface
  mtu: 1400
  mac-address: 02:00:5e:10:00:05
  ipv4: {enabled: true, address: [{ip: 192.0.2.66, prefix-length: 24}]}
  ovs-db: {external_ids: {for: us}, other_config: {}}
DOCUMENT
change without-interface <<'DOCUMENT'
interfaces: [{name: in5, type: ovs-interface, state: absent}]
DOCUMENT
change down <<'DOCUMENT'
interfaces: [{name: ovs5, type: ovs-bridge, state: down}]
DOCUMENT
change absent <<'DOCUMENT'
interfaces: [{name: ovs5, type: ovs-bridge, state: absent}]
DOCUMENT
bad=0
for change in "${changes[@]}"; do
  nmctl apply base.yml # a failure before has tidied up
  try_examples "$change" || bad=$((bad + 1))
done
[ $bad = 0 ]
