# Settings of Open vSwitch and mappings of OVN: others' keys stay, a rollback leads back, and without the database
# nothing that needs it is planned.
trap 'systemctl start openvswitch-switch; nmctl rollback || true; ovs-vsctl --if-exists del-br ovs5' EXIT
lacks_bridge() { ! ovs-vsctl br-exists ovs5; }
id() { ovs-vsctl --if-exists get open_vswitch . "external_ids:$1"; }
ovs-vsctl set open_vswitch . external_ids:lab-foreign=kept external_ids:lab-old=was
ovs-vsctl add-br ovs5
cat >settings.yml <<'DOCUMENT'
ovs-db: {external_ids: {lab-own: 1, lab-old: null}}
ovn: {bridge-mappings: [{localnet: lab, bridge: ovs5}]}
DOCUMENT
nmctl apply --no-commit settings.yml
[ "$(id lab-own)$(id lab-old)$(id lab-foreign)" = '"1"kept' ]
[ "$(id ovn-bridge-mappings)" = '"lab:ovs5"' ]
nmctl plan --exit-code settings.yml
ovs-vsctl set open_vswitch . external_ids:lab-foreign=later
nmctl rollback
[ "$(id lab-own)$(id lab-old)$(id lab-foreign)$(id ovn-bridge-mappings)" = 'waslater' ]
ovs-vsctl remove open_vswitch . external_ids lab-foreign remove open_vswitch . external_ids lab-old

# A bridge of somebody else's goes, with its ports.
ovs-vsctl add-port ovs5 in5 -- set interface in5 type=internal
echo 'interfaces: [{name: ovs5, type: ovs-bridge, state: absent}]' | nmctl apply -
lacks_bridge

systemctl stop openvswitch-switch ovsdb-server
gone() { refused "Open vSwitch's database is not there" nmctl plan -; }
settings() { echo 'ovs-db: {external_ids: {lab-own: 1}}' | gone; }
within 30 settings
for state in up down absent; do echo "interfaces: [{name: ovs5, type: ovs-bridge, state: $state}]" | gone; done
# The rest of the network is nobody's hostage.
echo 'interfaces: [{name: other5, type: dummy, state: up}]' | nmctl plan -
nmctl show >shown

# Who does not verify has NetworkManager keep it for later (V42).
prepared() {
  cat <<'DOCUMENT'
interfaces:
- {name: ovs5, type: ovs-bridge, bridge: {port: [{name: in5}]}}
- {name: in5, type: ovs-interface, ipv4: {enabled: true, address: [{ip: 192.0.2.65, prefix-length: 24}]}}
DOCUMENT
}
profiles() { nmcli -g NAME connection show | grep 5 | wc -l; }
prepared | nmctl apply --no-verify --no-commit - 2>&1 | tee said
grep -q "^warning: .*database is not there" said
[ "$(profiles)" = 3 ]
nmctl rollback
[ "$(profiles)" = 0 ] || { nmcli connection; exit 1; }
prepared | nmctl apply --no-verify -
[ "$(profiles)" = 3 ]
systemctl start openvswitch-switch
systemctl restart NetworkManager
addressed() { grep -F 192.0.2.65 <<<"$(ip address show in5)"; }
within 60 addressed
settled() { prepared | nmctl plan --exit-code -; }
within 30 settled
echo 'interfaces: [{name: ovs5, type: ovs-bridge, state: absent}, {name: in5, type: ovs-interface, state: absent}]' | nmctl apply -
