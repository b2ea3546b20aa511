# A daemon whose loop is stuck is seen by the watchdog and replaced.
mkdir -p /run/systemd/system/nmstated.service.d
printf '[Service]\nWatchdogSec=10\nWatchdogSignal=SIGKILL\n' >/run/systemd/system/nmstated.service.d/lab.conf
systemctl daemon-reload
systemctl restart nmstated
old=$(main_pid)
sleep 21 # more than two periods: a healthy daemon feeds it
[ "$(main_pid)" = "$old" ]
kill -STOP "$old"
replaced() { [ "$(main_pid)" != "$old" ] && systemctl is-active nmstated && nmctl status; }
within 60 replaced
journalctl --sync
journalctl -b -u nmstated --grep 'Watchdog timeout' --no-pager
rm -r /run/systemd/system/nmstated.service.d
systemctl daemon-reload
systemctl restart nmstated
