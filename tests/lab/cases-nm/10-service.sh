# NetworkManager comes, goes and comes back: the service is there all the time, says what is missing, and works as
# soon as it can.
trap 'systemctl start NetworkManager; document lab0 | sed "s/state: up/state: absent/" | nmctl apply - || true' EXIT
same() { nmctl show lab0 >now && cmp now before; }
other_networkmanager() { [ "$(systemctl show -P MainPID NetworkManager)" != "$old" ]; }
says() { nmctl status | grep -F -- "$1"; }
[ "$(nmctl status --json | jq -r .backend)" = networkmanager ]
nmctl status | grep -E "^nets .*networkmanager-checkpoint"

document lab0 | nmctl apply -
nmctl show lab0 >before
# Again, by itself.
systemctl restart NetworkManager
within 60 same || diff before now
old=$(systemctl show -P MainPID NetworkManager)
kill -KILL "$old"
within 60 other_networkmanager
within 60 same || diff before now

# Not there: what the kernel knows can still be asked, nothing can be changed.
systemctl stop NetworkManager
gone() { refused 'NetworkManager is not running' nmctl show; }
within 30 gone
nmctl show -k lab0
document lab1 | refused 'NetworkManager is not running' nmctl apply -
lacks_link lab1
has_link lab0
says 'NetworkManager is not running'
# Nor at a start of the service, which says READY nevertheless.
systemctl restart nmstated
systemctl is-active nmstated
gone
systemctl start NetworkManager
within 60 same || diff before now
document lab1 | nmctl apply -
document lab1 | sed 's/state: up/state: absent/' | nmctl apply -
lacks_link lab1
for try in 1 2 3; do
  systemctl restart nmstated
  began=$(systemctl show -P ExecMainStartTimestampMonotonic nmstated)
  ready=$(systemctl show -P ActiveEnterTimestampMonotonic nmstated)
  figure "start to READY: $(((ready - began) / 1000)) ms"
done
