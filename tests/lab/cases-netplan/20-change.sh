# A change of every common kind at once: applied, planned again without change, rolled back, applied, reverted; each
# time the network and all files are as before.
source ./peers
source ./netplan
trap 'peers_gone' EXIT
peer eth1
peer eth2 198.51.100 2001:db8:2
nmctl apply - <<'DOCUMENT'
interfaces:
- {name: eth1, type: ethernet, state: up, ipv4: {enabled: true, address: [{ip: 192.0.2.7, prefix-length: 24}]}}
- {name: eth2, type: ethernet, state: up, ipv4: {enabled: false}, ipv6: {enabled: false}}
DOCUMENT
within 30 ping -c 1 -W 5 192.0.2.1
cat >change.yml <<'DOCUMENT'
interfaces:
- name: eth1
  type: ethernet
  state: up
  mtu: 1400
  ipv4: {enabled: true, address: [{ip: 192.0.2.8, prefix-length: 24}]}
  ipv6: {enabled: true, address: [{ip: '2001:db8:1::8', prefix-length: 64}]}
- {name: eth2, type: ethernet, state: up, controller: bond0}
- {name: port0, type: dummy, state: up}
- name: bond0
  type: bond
  state: up
  link-aggregation: {mode: active-backup, options: {miimon: 100}, port: [eth2]}
- name: bond0.7
  type: vlan
  state: up
  vlan: {base-iface: bond0, id: 7}
- name: br0
  type: linux-bridge
  state: up
  bridge: {options: {stp: {enabled: false}}, port: [{name: bond0.7}, {name: port0}]}
  ipv4: {enabled: true, address: [{ip: 203.0.113.1, prefix-length: 24}]}
routes:
  config:
  - {destination: 198.18.7.0/24, next-hop-interface: br0, next-hop-address: 203.0.113.2}
DOCUMENT
try_examples change.yml
nmctl show admin0 | grep -F 198.18.0.1
untouched

# Zero and no can be asked for, too.
bonding() { # options
  printf 'interfaces: [{name: bond1, type: bond, state: up, link-aggregation: {mode: active-backup, options: {%s}}}]' "$1"
}
is() { grep -x "$2" "/sys/class/net/bond1/bonding/$1"; }
bonding 'min_links: 1, all_slaves_active: delivered' | nmctl apply -
is min_links 1 && is all_slaves_active 1
for again in changed unchanged; do bonding 'min_links: 0, all_slaves_active: dropped' | nmctl apply - &>$again; done
is min_links 0 && is all_slaves_active 0
grep -F "nothing to change" unchanged
echo 'interfaces: [{name: bond1, state: absent}]' | nmctl apply -
untouched
nmctl apply - <<'DOCUMENT'
interfaces: [{name: eth1, state: absent}, {name: eth2, state: absent}]
DOCUMENT
if cat /etc/netplan/90-nmstated.yaml; then false; fi
