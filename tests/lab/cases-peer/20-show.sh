# One network with an interface of each kind that this machine can have, shown by nmstatectl and by ours.
source ./peers
trap 'nmctl apply leave.yml || true; ip link delete tun0 2>/dev/null || true; peers_gone' EXIT
peer eth0 192.0.2 2001:db8:1 02:00:5e:10:00:aa
peer eth1 198.51.100 2001:db8:2 02:00:5e:10:00:ab
peer eth2 203.0.113 2001:db8:3
serve_dhcp eth0
serve_ra eth0
examples=$repository/docs/examples
asked=("$examples"/kernel/{alt-names,bond-802.3ad,bond-options,dummy,ethtool-features,hsr,ip-details,ip-tunnel}.yml
  "$examples"/kernel/{linux-bridge-options,linux-bridge-vlans,loopback,mac-and-mtu,mac-vlan,mac-vtap,route-rules,routes}.yml
  "$examples"/kernel/{routes-multipath,routes-tuning,vlan,vlan-options,vrf,vxlan}.yml
  "$examples"/managed/{dhcp-options,mptcp,lldp}.yml "$examples"/host/{dns,hostname}.yml)
for file in "${asked[@]}"; do nmctl apply "$file"; done
nmctl apply - <<'DOCUMENT'
interfaces:
- {name: eth2, type: ethernet, profile-name: third, description: the third card, ipv4: {enabled: true, address: [{ip: 203.0.113.7, prefix-length: 24}]}, ipv6: {enabled: false}}
- {name: under1, type: dummy}
- {name: ipv1, type: ipvlan, ipvlan: {base-iface: under1, mode: l2, private: true}}
DOCUMENT
ip tuntap add tun0 mode tun
nmctl show --json | jq '{interfaces: [.interfaces[] | select(.state != "ignore") | {name, type, state: "absent"}], "dns-resolver": {config: {}}}' >leave.yml
tests/compatibility shown ./nmstatectl lo eth0 br1 nobody0
