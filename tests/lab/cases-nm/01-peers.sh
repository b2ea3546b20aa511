# The neighbours of the other cases do what they are there for, without nmstated: NetworkManager gets addresses by
# DHCP and router advertisements, and comes through a closed port.
source ./peers
systemctl stop nmstated nmstated.socket
cleanup() {
  nmcli connection delete lab-peer >/dev/null 2>&1 || true
  peers_gone
}
trap cleanup EXIT

peer eth7
serve_dhcp eth7
serve_ra eth7
nmcli connection add con-name lab-peer type ethernet ifname eth7 autoconnect no >/dev/null
nmcli --wait 30 connection up lab-peer
within 30 grep -q ' 192.0.2.1[0-9][0-9] ' $peers/eth7/leases
within 30 grep -q ' 2001:db8:1::1[0-9a-f][0-9a-f] ' $peers/eth7/leases
within 30 eval "ip -4 route show default | grep 'via 192.0.2.1 dev eth7 proto dhcp'"
within 30 eval "ip -6 route show default | grep 'dev eth7 proto ra'"
within 30 eval "nmcli -g IP4.DNS,IP4.DOMAIN device show eth7 | grep -F lab.example"
# The cable comes out, and in again.
unplug eth7
within 30 eval "ip link show eth7 | grep NO-CARRIER"
plug eth7
nmcli connection delete lab-peer

serve_802.1x eth7
if authenticated eth7; then false; fi
login() { # property value...
  nmcli connection add con-name lab-peer type ethernet ifname eth7 autoconnect no "$@" >/dev/null
  nmcli --wait 60 connection up lab-peer
  within 30 authenticated eth7
  nmcli connection delete lab-peer
  at eth7 hostapd_cli -p $peers/eth7/hostapd -i far deauthenticate "$(cat /sys/class/net/eth7/address)" || true
}
login 802-1x.eap md5 802-1x.identity lab 802-1x.password right
login 802-1x.eap peap 802-1x.phase2-auth mschapv2 802-1x.identity lab 802-1x.password right 802-1x.ca-cert $peers/ca.crt
login 802-1x.eap tls 802-1x.identity card 802-1x.ca-cert $peers/ca.crt 802-1x.client-cert $peers/card.crt \
  802-1x.private-key $peers/card.key 802-1x.private-key-password phrase

nmcli connection add con-name lab-peer type ethernet ifname eth7 autoconnect no connection.lldp enable
nmcli --wait 30 connection up lab-peer
speak_lldp eth7
heard() { nmcli -f NEIGHBOR device lldp list ifname eth7 | grep -q .; nmcli device lldp list ifname eth7 | grep -F switch.lab.example; }
within 30 heard
nmcli connection delete lab-peer

serve_macsec eth7
nmcli connection add con-name lab-peer type macsec ifname sec7 autoconnect no ipv4.method manual \
  ipv4.addresses 10.7.0.2/24 ipv6.method disabled macsec.parent eth7 macsec.mode psk macsec.port 1 \
  macsec.mka-cak 50b71a8ef0bd5751ea76de6d6c98c03a \
  macsec.mka-ckn f2b4297d39da7330910a74abc0449feb
nmcli --wait 60 connection up lab-peer
# What one end encrypts the other can read.
within 30 at eth7 ip address add 10.7.0.1/24 dev macsec0
at eth7 ip link set macsec0 up
within 30 ping -c 1 -W 1 10.7.0.1
