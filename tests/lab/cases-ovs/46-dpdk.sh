# There is no DPDK here. NetworkManager is told of the card, and Open vSwitch too; what it answers is why the change is undone.
document() {
  sed /lsc-interrupt/d "$repository/docs/examples/managed/ovs-dpdk.yml"
}
lacks_bridge() { ! ovs-vsctl br-exists ovs0; }
nothing_left() { lacks_bridge && ! nmcli -g NAME connection show | grep -E 'dpdk0|ovs0'; }
refused 'need NetworkManager 1.54' nmctl plan "$repository/docs/examples/managed/ovs-dpdk.yml"

ovsdb-client monitor --format=json --detach --pidfile=/run/monitor.pid Interface name,type,options,error >database
trap 'kill $(cat /run/monitor.pid)' EXIT
document | nmctl apply - >said 2>&1 && { echo "it is done: $(cat said)"; exit 1; }
cat said
grep -q '^error: .*dpdk0' said
cat database
# What the database was told of it.
grep -q '"dpdk-devargs","0000:18:00.2"' database
grep -q '"n_rxq","4"' database
grep -q '"n_rxq_desc","1024"' database
grep -q '"n_txq_desc","2048"' database
within 30 nothing_left
