# A SIGTERM that is not systemd's ends the daemon cleanly; it is started again, for the deadline.
document lab0 | nmctl apply --no-commit --timeout 6 -
old=$(main_pid)
kill -TERM "$old"
restarted() { [ "$(main_pid)" != "$old" ] && systemctl is-active nmstated; }
within 30 restarted
within 20 lacks_link lab0
