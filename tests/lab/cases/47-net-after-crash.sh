# A daemon that dies in a commit window, and can never be started again.
net=nmstated-restore@var-lib-nmstated
trap 'rm -rf /run/systemd/system/nmstated.service.d; systemctl daemon-reload; systemctl restart nmstated' EXIT
document lab0 | nmctl apply --no-commit --timeout 30 -
within 30 systemctl is-active $net.timer
mkdir -p /run/systemd/system/nmstated.service.d
printf '[Service]\nExecStart=\nExecStart=/bin/false\n' >/run/systemd/system/nmstated.service.d/lab.conf
systemctl daemon-reload
systemctl is-active $net.timer
kill -KILL "$(main_pid)"
within 120 lacks_link lab0
refused "" systemctl is-active nmstated
within 30 test ! -e /run/systemd/transient/$net.timer
