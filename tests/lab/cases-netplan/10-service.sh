# A host of netplan: a change is a file beside that of the administrator, in /run until it is committed.
source ./netplan
own=90-nmstated.yaml
# A bridge without ports never has a carrier.
both() {
  document lab0
  printf -- '- {name: br7, type: linux-bridge, state: up, bridge: {options: {stp: {enabled: false}}, port: []}, %s}\n' \
    'ipv4: {enabled: true, address: [{ip: 198.51.100.7, prefix-length: 24}]}'
}
trap 'both | sed "s/state: up/state: absent/" | nmctl apply - || true' EXIT
nmctl status --json | jq -e '.backend == "netplan" and .backend_reason == "/etc/netplan/10-admin.yaml defines interfaces"'
nmctl show admin0 | grep -F 198.18.0.1

began=$(date +%s%N)
both | nmctl apply --no-commit -
figure "a dummy and a bridge until they await commit: $((($(date +%s%N) - began) / 1000000)) ms"
[ "$(stat -c %a /run/netplan/$own)" = 600 ] && [ ! -e /etc/netplan/$own ]
netplan get dummy-devices.lab0
nmctl commit
[ "$(stat -c %a /etc/netplan/$own)" = 600 ] && [ ! -e /run/netplan/$own ]
both | nmctl apply - 2>&1 | grep -F 'nothing to change'

# netplan itself finds nothing to do about it.
netplan apply
is_there() { nmctl show lab0 | grep -F 192.0.2.7 && nmctl show br7 | grep -F 198.51.100.7; }
within 60 is_there

both | sed "s/state: up/state: absent/" | nmctl apply -
lacks_link lab0
lacks_link br7
[ ! -e /etc/netplan/$own ] && [ ! -e /run/netplan/$own ]
untouched
