# Open vSwitch through netplan: bridges with cards, a bond and patch ports come, change their ports and go; each time the
# network, the database and all files are as before. The daemon is killed in an apply. What is wrong with the database,
# or somebody else's in it, is told while planning.
source ./peers
source ./netplan
examples=$repository/docs/examples/managed
cleanup() {
  nmctl rollback >/dev/null 2>&1 || true
  nmctl apply - >/dev/null 2>&1 <<'DOCUMENT' || true
interfaces: [{name: ovs0, type: ovs-bridge, state: absent}, {name: eth0, state: absent}, {name: eth1, state: absent}, {name: eth2, state: absent}]
DOCUMENT
  ovs-vsctl --if-exists del-br foreign0 || true
  systemctl stop openvswitch-switch ovs-vswitchd || true
  peers_gone
}
trap cleanup EXIT
# netplan has systemd start it beside networkd.
systemctl stop openvswitch-switch ovs-vswitchd ovsdb-server
refused "Open vSwitch's database is not there" nmctl plan "$examples/ovs-options.yml"
systemctl start openvswitch-switch
peer eth0 198.51.100 2001:db8:2
peer eth1
peer eth2 203.0.113 2001:db8:3
nmctl apply - <<'DOCUMENT'
interfaces:
- {name: eth0, type: ethernet, ipv4: {enabled: false}, ipv6: {enabled: false}}
- {name: eth1, type: ethernet, ipv4: {enabled: false}, ipv6: {enabled: false}}
- {name: eth2, type: ethernet, ipv4: {enabled: false}, ipv6: {enabled: false}}
DOCUMENT
everything() { with_database; }

everything >before
ovs-vsctl add-br foreign0
refused "was not made by netplan" nmctl plan - <<'DOCUMENT'
interfaces: [{name: eth1, type: ethernet, controller: foreign0}]
DOCUMENT
refused "netplan takes only letters" nmctl plan - <<'DOCUMENT'
interfaces: [{name: ovs0, type: ovs-bridge, ovs-db: {external_ids: {a: "$(reboot)"}}}]
DOCUMENT
ovs-vsctl del-br foreign0
back_as_before "refusals"

# Everything of it that netplan has a word for. With NetworkManager as the renderer it is networkd's as well.
cp "$repository/tests/netplan/documents/ovs.yml" all.yml
try_each try_example_once all.yml
[ "$sample" != all ] || try_examples "$examples"/ovs-{db,lacp,options,patch}.yml
if grep -q NetworkManager /etc/netplan/10-admin.yaml && [ "$sample" != all ]; then exit; fi

cat >bridge.yml <<'DOCUMENT'
interfaces:
- name: ovs0
  type: ovs-bridge
  bridge: {options: {rstp: true}, port: [{name: eth1}, {name: bond1, link-aggregation: {mode: active-backup, port: [{name: eth0}, {name: eth2}]}}]}
- name: ovs0
  type: ovs-interface
  ipv4: {enabled: true, address: [{ip: 192.0.2.90, prefix-length: 24}]}
routes:
  config:
  - {destination: 198.51.100.0/24, next-hop-interface: ovs0, next-hop-address: 192.0.2.1}
DOCUMENT
systemctl stop ovs-vswitchd
refused "there is no ovs-vswitchd" nmctl plan bridge.yml
systemctl start ovs-vswitchd
nmctl revert bridge.yml >revert.yml
nmctl apply bridge.yml
within 30 nmctl drift --exit-code || { nmctl drift; exit 1; }
within 30 ping -c 1 -W 5 192.0.2.1
# A card leaves, and the bond with it: netplan leaves the one where it is, and cannot change the other.
cat >ports.yml <<'DOCUMENT'
interfaces:
- name: ovs0
  type: ovs-bridge
  bridge: {port: [{name: ovs0}, {name: bond1, link-aggregation: {mode: balance-slb, port: [{name: eth1}, {name: eth2}]}}]}
DOCUMENT
everything >with-bridge
cp before first
cp with-bridge before
kept_by_us >kept-before
nmctl apply ports.yml >/dev/null 2>&1 &
within 120 is_applying
kill -KILL "$(main_pid)"
within 120 nmctl status
systemctl reset-failed nmstated
within 120 back_as_before "a killed daemon"
kept_by_us | cmp - kept-before
nmctl apply ports.yml
[ "$(ovs-vsctl list-ports ovs0)" = bond1 ]
[ "$(ovs-vsctl list-ifaces ovs0 | xargs)" = "eth1 eth2" ]
nmctl apply - <revert.yml
cp first before
back_as_before "the revert document"
if systemctl list-units --state=failed --plain --no-legend 'netplan-ovs-*' | grep .; then false; fi
untouched
