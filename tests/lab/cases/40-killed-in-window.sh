# A daemon killed while a change awaits commit comes back and keeps the deadline.
document lab0 | nmctl apply --no-commit --timeout 8 -
has_link lab0
old=$(main_pid)
kill -KILL "$old"
within 5 systemctl is-active nmstated
within 5 nmctl status
[ "$(main_pid)" != "$old" ]
has_link lab0
nmctl list
within 12 lacks_link lab0
nmctl history | grep rolled-back
nmctl list
