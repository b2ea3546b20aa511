# What awaits commit is in memory only, what is committed is on disk, what is rolled back leaves nothing, and what
# holds already costs no call.
trap 'document lab0 | sed "s/state: up/state: absent/" | nmctl apply - || true; rm -f change.yml' EXIT
file() { nmcli -g FILENAME,DEVICE,NAME connection show | sed -n '/lab0/s/:.*//p'; }
in_memory() { [[ "$(file)" == /run/* ]]; }
on_disk() { [[ "$(file)" == /etc/* ]]; }
audits() { journalctl --sync; journalctl -b -u NetworkManager -o cat --no-pager | grep -c 'audit: op=' || true; }

document lab0 | nmctl apply --no-commit -
has_link lab0
in_memory
nmctl rollback
lacks_link lab0
[ -z "$(file)" ]

document lab0 | nmctl apply --no-commit -
nmctl commit
has_link lab0
on_disk
if ls /run/NetworkManager/system-connections | grep lab0; then false; fi

# A change of it: the file stays as it is until the commit.
cp "$(file)" stored
uuid=$(nmcli -g NAME,UUID connection show | grep -F lab0: | cut -d: -f2)
document lab0 | sed 's/192.0.2.7/192.0.2.8/' >change.yml
nmctl apply --no-commit change.yml
in_memory
cmp stored /etc/NetworkManager/system-connections/lab0*.nmconnection
nmctl rollback
within 30 on_disk
cmp stored "$(file)"
ip address show lab0 | grep -F 192.0.2.7/24
nmctl apply change.yml
on_disk
if cmp stored "$(file)"; then false; fi
grep -F 192.0.2.8/24 "$(file)"
[ "$(nmcli -g NAME,UUID connection show | grep -F lab0: | cut -d: -f2)" = "$uuid" ]

# Nobody is asked for anything.
before=$(audits)
began=$(date +%s%3N)
nmctl apply change.yml
figure "apply of what holds: $(($(date +%s%3N) - began)) ms"
[ "$(audits)" = "$before" ]

# Removed, and not yet for good: the file is hidden, and back after a rollback.
document lab0 | sed 's/state: up/state: absent/' | nmctl apply --no-commit -
lacks_link lab0
ls /etc/NetworkManager/system-connections/lab0*.nmconnection
nmctl rollback
has_link lab0
within 30 on_disk
ip address show lab0 | grep -F 192.0.2.8/24
document lab0 | sed 's/state: up/state: absent/' | nmctl apply -
lacks_link lab0
if ls /etc/NetworkManager/system-connections /run/NetworkManager/system-connections | grep lab0; then false; fi
