# NetworkManager has its plugin, and Open vSwitch runs, without nmstated: a bridge with a port and an internal
# interface comes up.
systemctl stop nmstated nmstated.socket
grep -w 2 <<<"$(busctl get-property org.freedesktop.NetworkManager /org/freedesktop/NetworkManager \
  org.freedesktop.NetworkManager Capabilities)"
cleanup() {
  for name in lab-if lab-port lab-br; do nmcli connection delete $name >/dev/null 2>&1 || true; done
}
trap cleanup EXIT
nmcli connection add con-name lab-br autoconnect no type ovs-bridge ifname ovs7
nmcli connection add con-name lab-port autoconnect no type ovs-port ifname host7 master ovs7
nmcli connection add con-name lab-if autoconnect no type ovs-interface slave-type ovs-port ifname host7 master host7 ipv4.method manual \
  ipv4.addresses 192.0.2.90/24 ipv6.method disabled
nmcli --wait 30 connection up lab-if || { ovs-vsctl show; ip link; nmcli device; exit 1; }
within 30 ovs-vsctl br-exists ovs7
[ "$(ovs-vsctl list-ports ovs7)" = host7 ]
ip address show host7 | grep 192.0.2.90
figure "Open vSwitch $(ovs-vsctl get open_vswitch . ovs_version), NetworkManager $(nmcli -g VERSION general)"
