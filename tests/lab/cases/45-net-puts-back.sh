# The daemon is stopped in a commit window and does not come back: the timer puts the network back, also
# when the configuration file is broken meanwhile.
net=nmstated-restore@var-lib-nmstated
# Without it the clients that a case before has left would start the daemon again.
trap 'systemctl start nmstated.socket nmstated' EXIT
document lab0 | nmctl apply --no-commit --timeout 30 -
nmctl status | grep -E '^nets +daemon, systemd-timer$'
within 30 systemctl is-active $net.timer
systemctl cat $net.timer
systemctl list-timers --no-pager $net.timer
systemctl show -p TimersMonotonic -p TimersCalendar $net.timer
systemctl stop nmstated nmstated.socket
cp /etc/nmstated.conf /tmp/nmstated.conf
echo 'this is no configuration' >>/etc/nmstated.conf
refused "expected" nmstated --check-config
has_link lab0
systemctl is-active $net.timer
began=$SECONDS
within 120 lacks_link lab0
figure "put back $((SECONDS - began)) s after the stop, of a deadline of 30 s"
[ $((SECONDS - began)) -ge 25 ]
gone() { [ "$(systemctl show -P LoadState "$1")" != loaded ] || ! systemctl is-active "$1"; }
within 30 gone $net.timer
within 30 test ! -e /run/systemd/transient/$net.timer
refused "" systemctl is-active nmstated
journalctl --sync
journalctl -b -u $net.service --no-pager | grep -E 'is rolled-back'
cp /tmp/nmstated.conf /etc/nmstated.conf
systemctl start nmstated.socket nmstated
nmctl history --limit 1 | grep rolled-back
nmctl log "$(nmctl history --limit 1 --json | jq '.[0].id')" | grep -F 'not committed in time'
