# Every document of docs/examples that speaks of Open vSwitch, but for DPDK, which needs hardware.
source ./peers
source ./examples
trap "ovs-vsctl --if-exists del-br ovs9; peers_gone" EXIT
peer eth1 192.0.2 2001:db8:1
peer eth2 203.0.113 2001:db8:3
udevadm settle
# A revert document cannot leave them to nobody again.
nmctl apply - <<'DOCUMENT'
interfaces:
- {name: eth1, type: ethernet, ipv4: {enabled: false}, ipv6: {enabled: false}}
- {name: eth2, type: ethernet, ipv4: {enabled: false}, ipv6: {enabled: false}}
DOCUMENT
examples=$repository/docs/examples/managed
# Mappings are of bridges that are there.
ovs-vsctl add-br ovs9
sed s/ovs0/ovs9/ "$examples/ovn.yml" >ovn.yml
mapfile -t documents < <(ls "$examples"/ovs-*.yml | grep -v dpdk)
try_examples "${documents[@]}" ovn.yml
