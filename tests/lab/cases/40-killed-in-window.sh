# A daemon killed while a change awaits commit comes back and keeps the deadline.
document lab0 | nmctl apply --no-commit --timeout 15 -
has_link lab0
old=$(main_pid)
kill -KILL "$old"
within 30 systemctl is-active nmstated
within 30 nmctl status
[ "$(main_pid)" != "$old" ]
has_link lab0
nmctl list
within 25 lacks_link lab0
# The link goes before the transaction has ended.
told() { nmctl history | grep rolled-back; }
within 30 told
nmctl list
