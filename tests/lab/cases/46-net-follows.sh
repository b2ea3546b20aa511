# The second safety net is there exactly while a change awaits commit, whatever ends that, and moves with
# the deadline.
net=nmstated-restore@var-lib-nmstated
unit=/run/systemd/transient/$net.timer
absent='interfaces: [{name: lab0, state: absent}]'
due() { systemctl show -P NextElapseUSecRealtime $net.timer; }

[ ! -e $unit ]
document lab0 | nmctl apply -
[ ! -e $unit ]
echo "$absent" | nmctl apply -

# A commit takes it away.
document lab0 | nmctl apply --no-commit --timeout 60 -
within 30 test -e $unit
first=$(due)
nmctl extend --timeout 600
moved() { [ "$(due)" != "$first" ]; }
within 30 moved
nmctl commit
within 30 test ! -e $unit
echo "$absent" | nmctl apply -

# The daemon's own deadline comes first.
document lab0 | nmctl apply --no-commit --timeout 5 -
within 30 test -e $unit
within 20 lacks_link lab0
within 30 test ! -e $unit

# It outlives a daemon that is killed, and the next one knows it.
document lab0 | nmctl apply --no-commit --timeout 60 -
within 30 test -e $unit
kill -KILL "$(main_pid)"
test -e $unit
within 30 nmctl rollback
within 30 test ! -e $unit

# What comes too early leaves everything alone: a living daemon answers for it, or it is not due.
document lab0 | nmctl apply --no-commit --timeout 60 -
within 30 test -e $unit
systemctl start $net.service
journalctl --sync
journalctl -b -u $net.service -n 5 --no-pager | grep -F 'a running nmstated holds /var/lib/nmstated'
test -e $unit
systemctl stop nmstated nmstated.socket
systemctl start $net.service
journalctl --sync
journalctl -b -u $net.service -n 5 --no-pager | grep -E 'awaits commit for another [0-9]+ s: left alone'
has_link lab0
test -e $unit
systemctl start nmstated.socket nmstated
nmctl rollback
within 30 test ! -e $unit

# By hand, with nothing to do.
systemctl stop nmstated nmstated.socket
nmstated --restore
nmstated --restore --state-dir /var/lib/nowhere
[ ! -e /var/lib/nowhere ]
systemctl start nmstated.socket nmstated
systemd-analyze verify $net.service
figure "$(systemd-analyze security --no-pager $net.service | tail -n 1)"
