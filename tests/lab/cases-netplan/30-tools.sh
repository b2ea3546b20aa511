# What looks at documents and at the network works with netplan as with every backend: validation, statistics, the
# configuration that would be written, probes, drift and history; and documents in netplan's own words, too.
source ./netplan
program=/usr/local/libexec/nmstated-lab/check
trap 'rm -rf ${program%/*}; document lab0 | sed "s/state: up/state: absent/" | nmctl apply - || true' EXIT
renderer=$(sed -n 's/^ *renderer: //p' /etc/netplan/10-admin.yaml)
native() { printf 'network: {version: 2, ethernets: {eth1: {dhcp4: false, addresses: [192.0.2.7/24]}}}\n'; }

nmctl status --json | jq -e '.backend == "netplan"'
document lab0 | refused 'no interface may belong to two' nmctl apply --backend kernel -
lacks_link lab0
document lab0 | nmctl validate -
native | nmctl validate -
document lab0 | sed 's/192.0.2.7/192.0.2.700/' | refused 'interfaces[0].ipv4.address[0].ip' nmctl validate -
document lab0 | nmctl statistic --json - | jq -e '.topology == ["static_ip4 -> dummy"]'
native | nmctl statistic --json - | jq -e '.netplan == ["ethernets", "ethernets.addresses", "ethernets.dhcp4"]'

# The configuration is one that netplan understands.
document lab0 | nmctl configuration --backend netplan --renderer $renderer --json - >said
mkdir -p root/etc/netplan
jq -r '.netplan[] | select(.[0] == "90-nmstated.yaml") | .[1]' said >root/etc/netplan/90-nmstated.yaml
chmod 600 root/etc/netplan/90-nmstated.yaml
/usr/libexec/netplan/generate --root-dir root
netplan get --root-dir root dummy-devices.lab0.addresses | grep -F 192.0.2.7/24
document lab0 | nmctl apply -
netplan get dummy-devices.lab0.addresses | grep -F 192.0.2.7/24

# A probe that the change fails takes it back.
mkdir -p ${program%/*}
printf '#!/bin/sh\ngrep -vx 1310 /sys/class/net/lab0/mtu || { echo "too small" >&2; exit 1; }\n' >$program
chmod 0755 /usr/local/libexec ${program%/*} $program
cp /etc/netplan/90-nmstated.yaml kept
printf 'interfaces:\n- {name: lab0, type: dummy, mtu: 1310}\n' | refused 'too small' nmctl apply --probe "run:$program" -
[ "$(cat /sys/class/net/lab0/mtu)" = 1500 ]
cmp kept /etc/netplan/90-nmstated.yaml
nmctl history --json --limit 2 | jq -e 'map(.stage) == ["rolled-back", "committed"]'

# What somebody changes by hand is seen, and put right.
nmctl drift --exit-code
ip address delete 192.0.2.7/24 dev lab0
ip link set lab0 mtu 1400
drifted() { ! nmctl drift --exit-code >said; }
within 30 drifted
cat said
grep -F lab0 said
nmctl apply --restore
nmctl drift --exit-code
nmctl show lab0 | grep -F 192.0.2.7
nmctl show -r lab0 | grep -F 192.0.2.7
untouched
