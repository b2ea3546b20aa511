# What a switch says of itself is shown.
source ./peers
trap 'peers_gone; printf "interfaces: [{name: eth7, state: absent}]\n" | nmctl apply - || true' EXIT
peer eth7
speak_lldp eth7
echo 'interfaces: [{name: eth7, type: ethernet, state: up, lldp: {enabled: true}}]' | nmctl apply -
hears() { nmctl show --json eth7 | jq -e '.interfaces[0].lldp.neighbors[0] | any(.["system-name"] == "switch.lab.example")'; }
within 30 hears
nmctl show eth7
nmctl show --json eth7 | jq -e '.interfaces[0].lldp.neighbors[0] | any(.["ieee-802-1-vlans"] == [{name: "green", vid: 10}])'
# They come and go without being asked for, and are no part of what is wanted.
nmctl show eth7 | nmctl plan --exit-code -
