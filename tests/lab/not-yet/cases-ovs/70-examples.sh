# Every document of docs/examples that speaks of Open vSwitch, but for DPDK, which needs hardware.
source ./peers
source ./examples
trap 'peers_gone' EXIT
peer eth1 192.0.2 2001:db8:1
peer eth2 203.0.113 2001:db8:3
udevadm settle
examples=$repository/docs/examples/managed
chosen=("$examples"/ovs-{bond,bridge,db,patch}.yml)
code=0
try_examples "${chosen[@]}" || code=$?
# Mappings are of bridges that are there.
ovs-vsctl add-br ovs0
try_examples "$examples/ovn.yml" || code=$?
ovs-vsctl del-br ovs0
exit $code
