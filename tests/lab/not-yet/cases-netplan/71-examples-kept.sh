# Documents of docs/examples that both renderers can have: applied and rolled back, applied, kept and reverted by their
# revert document; each time the network is as before, and after the rollback our own files, too.
source ./peers
source ./netplan
trap 'echo "interfaces: [{name: eth0, state: absent}, {name: eth1, state: absent}, {name: eth2, state: absent}]" | nmctl apply - || true; peers_gone' EXIT
surroundings
examples=$repository/docs/examples
try_examples "$examples"/kernel/{bond,dummy,routes-absent,vrf}.yml "$examples/managed/addresses-and-lease.yml"
untouched
