# What only the files know is not lost with a change of something else: addresses and routes of a card without carrier,
# which its renderer has taken away. A card that nobody has defined keeps its addresses when a VLAN comes to rest on it.
# Several may plan at once.
source ./peers
source ./netplan
trap 'peers_gone' EXIT
own=/etc/netplan/90-nmstated.yaml
peer eth1
nmctl apply - <<'DOCUMENT'
interfaces:
- {name: eth1, type: ethernet, state: up, ipv4: {enabled: true, address: [{ip: 192.0.2.7, prefix-length: 24}]}}
routes: {config: [{destination: 198.18.7.0/24, next-hop-interface: eth1, next-hop-address: 192.0.2.1}]}
DOCUMENT
has_address() { ip -4 address show "$1" | grep -qF "$2"; }
lacks_address() { ! has_address "$@"; }
unplug eth1
within 20 lacks_address eth1 192.0.2.7/24
printf 'interfaces: [{name: eth1, type: ethernet, mtu: 1400}]\n' | nmctl apply -
grep -F 192.0.2.7/24 $own
grep -F 198.18.7.0/24 $own
plug eth1
within 30 has_address eth1 192.0.2.7/24
within 30 ping -c 1 -W 5 192.0.2.1
ip route show 198.18.7.0/24 | grep -F 'via 192.0.2.1'
[ "$(cat /sys/class/net/eth1/mtu)" = 1400 ]

peer eth2 198.51.100 2001:db8:2
ip address add 198.51.100.7/24 dev eth2
printf 'interfaces: [{name: eth2.7, type: vlan, state: up, vlan: {base-iface: eth2, id: 7}}]\n' >vlan.yml
for n in 1 2 3 4; do
  sed "s/7/$n/g" vlan.yml | nmctl plan - >plan$n 2>&1 &
  plans+=($!)
done
for plan in "${plans[@]}"; do wait $plan || { cat plan?; false; }; done
nmctl apply vlan.yml
has_address eth2 198.51.100.7/24
grep -F 198.51.100.7/24 $own
sed 's/state: up/state: absent/' vlan.yml | nmctl apply -
nmctl apply - <<'DOCUMENT'
interfaces: [{name: eth1, state: absent}, {name: eth2, state: absent}]
DOCUMENT
if cat $own; then false; fi
untouched
