# A document in netplan's own words: planned, applied, verified, rolled back, kept, replaced and removed; and what netplan
# does not understand is refused while planning, at its place in the document.
source ./peers
source ./netplan
trap 'echo "network: {}" | nmctl apply - || true; peers_gone' EXIT
own=91-nmstated-native.yaml
peer eth1
renderer=$(sed -n 's/^ *renderer: //p' /etc/netplan/10-admin.yaml)
static() { # address
  cat <<DOCUMENT
# The case of old: a fixed address instead of a lease.
network:
  version: 2
  ethernets:
    eth1:
      renderer: $renderer
      dhcp4: no
      addresses: [$1/24]
DOCUMENT
}
kept_by_us() { tail -n +1 /etc/netplan/$own /run/netplan/$own 2>/dev/null || true; }
has_address() { ip -4 address show eth1 | grep -F " $1/24"; }
static 192.0.2.6 | nmctl apply -
within 60 has_address 192.0.2.6
example=native
everything >before
kept_by_us >kept-before

static 192.0.2.7 >one.yml
nmctl plan one.yml >said
grep -F '+ ethernets.eth1.addresses' said
grep -F '+ ipv4.address: 192.0.2.7/24' said
nmctl apply --no-commit --timeout 120 one.yml
has_address 192.0.2.7
within 30 ping -c 1 -W 5 192.0.2.1
[ "$(stat -c %a /run/netplan/$own)" = 600 ]
nmctl plan --exit-code one.yml
nmctl show | grep -A 9 '^network:'
nmctl show | nmctl plan --exit-code -
nmctl rollback
back_as_before "a rollback"
kept_by_us | cmp - kept-before

# The same over D-Bus, rolled back and kept.
export SYSTEMD_BUS_TIMEOUT=120
"${bus[@]}" Apply 'sa{sv}' "$(cat one.yml)" 1 commit b false >said
has_address 192.0.2.7
"${bus[@]}" Rollback t 0 >said
back_as_before "a rollback over D-Bus"
kept_by_us | cmp - kept-before
"${bus[@]}" Apply 'sa{sv}' "$(cat one.yml)" 0 >said
within 60 has_address 192.0.2.7
[ "$(stat -c %a /etc/netplan/$own)" = 600 ]
[ ! -e /run/netplan/$own ]
nmctl history --json --limit 1 | jq -e '.[0].stage == "committed"'
nmctl drift --exit-code
ip address delete 192.0.2.7/24 dev eth1
drifted() { ! nmctl drift --exit-code >said && grep -F 192.0.2.7 said; }
within 30 drifted
# Another in its place, which says less of the link and more beside it. A `netplan status` that crashes undoes nothing.
tool=$(readlink -f /usr/sbin/netplan)
cp "$tool" real
printf '#!/bin/sh\n[ "$1" != status ] || { echo Traceback; exit 1; }\nPYTHONPATH=%s exec python3 %s/real "$@"\n' "${tool%/*}" "$PWD" >crashes
chmod 755 crashes
mount --bind crashes "$tool"
with_bridge() { static "$1" | sed 's/^  ethernets:/  bridges: {br7: {renderer: '"$renderer"', addresses: [198.51.100.1\/24]}}\n&/'; }
with_bridge 192.0.2.8 | nmctl apply -
umount "$tool"
journalctl --sync
journalctl -u nmstated | grep -F 'netplan cannot say what is missing: it ended with status 1'
has_address 192.0.2.8
if has_address 192.0.2.7; then false; fi
has_link br7
printf 'network: {ethernets: {eth1: {adresses: [192.0.2.1/24]}}}\n' | refused 'network.ethernets.eth1.adresses' nmctl plan -
printf 'network: {ethernets: {lan: {match: {name: eth1}, set-name: lan0}}}\n' | refused 'network.ethernets.lan.set-name' nmctl plan -
printf 'network: {version: 1}\n' | refused 'network.version' nmctl plan -
# A document of the other kind builds on it; both can be changed then.
echo 'interfaces: [{name: br7.5, type: vlan, state: up, vlan: {base-iface: br7, id: 5}}]' | nmctl apply -
has_link br7.5
with_bridge 192.0.2.8 | nmctl plan --exit-code -
with_bridge 192.0.2.9 | nmctl apply -
has_address 192.0.2.9
has_link br7.5
with_bridge 192.0.2.8 | nmctl apply -
echo 'interfaces: [{name: br7.5, type: vlan, state: absent}]' | nmctl apply -
lacks_link br7.5
[ ! -e /etc/netplan/90-nmstated.yaml ]
# What this kernel has no module for. nmstated does not know such interfaces: it is netplan that misses it.
{
  echo 'network:'
  echo "  tunnels: {wg0: {renderer: $renderer, mode: wireguard, addresses: [203.0.113.1/24], key: 4GgaQCy68nzNsUE5aJ9fuLzHhB65tAlwbmA72MWnOm8=,"
  echo '    peers: [{keys: {public: rlbInAj0qV69CysWPQY7KEBnKxpYCpaWqOs/dLevdWc=}, allowed-ips: [203.0.113.2/32]}]}}'
} >tunnel.yml
nmctl plan tunnel.yml >said
if grep -F 4GgaQCy6 said; then false; fi
refused 'wg0: `netplan status --diff` finds missing in the system: wg0: the interface' nmctl apply tunnel.yml
has_address 192.0.2.8
has_link br7
echo 'network: {}' | nmctl apply -
lacks_link br7
has_link eth1
if has_address 192.0.2.8; then false; fi
[ ! -e /etc/netplan/$own ] && [ ! -e /run/netplan/$own ]
untouched
