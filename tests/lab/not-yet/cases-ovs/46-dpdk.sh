# Open vSwitch without DPDK: a port that needs it is refused with a reason, and nothing is left of it.
lacks_bridge() { ! ovs-vsctl br-exists ovs0; }
nmctl apply "$repository/docs/examples/managed/ovs-dpdk.yml" >said 2>&1 && { echo "it is done: $(cat said)"; exit 1; }
cat said
grep -q '^error: .*dpdk0' said
within 10 lacks_bridge
! nmcli -g NAME connection show | grep -E 'dpdk0|ovs0'
