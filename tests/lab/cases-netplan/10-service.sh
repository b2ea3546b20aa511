# A host of netplan: a change is a file beside that of the administrator, in /run until it is committed.
source ./netplan
own=90-nmstated.yaml
trap 'document lab0 | sed "s/state: up/state: absent/" | nmctl apply - || true' EXIT
nmctl status --json | jq -e '.backend == "netplan" and .backend_reason == "/etc/netplan/10-admin.yaml defines interfaces"'
nmctl show admin0 | grep -F 198.18.0.1

began=$(date +%s%N)
document lab0 | nmctl apply --no-commit -
figure "a dummy until it awaits commit: $((($(date +%s%N) - began) / 1000000)) ms"
[ "$(stat -c %a /run/netplan/$own)" = 600 ] && [ ! -e /etc/netplan/$own ]
netplan get dummy-devices.lab0
nmctl commit
[ "$(stat -c %a /etc/netplan/$own)" = 600 ] && [ ! -e /run/netplan/$own ]
document lab0 | nmctl apply - 2>&1 | grep -F 'nothing to change'

# netplan itself finds nothing to do about it.
netplan apply
is_there() { nmctl show lab0 | grep -F 192.0.2.7; }
within 60 is_there

document lab0 | sed "s/state: up/state: absent/" | nmctl apply -
lacks_link lab0
[ ! -e /etc/netplan/$own ] && [ ! -e /run/netplan/$own ]
untouched
