# The daemon is killed while netplan applies, while the change awaits commit, and while it is rolled back: the network
# and all files are as before, and netplan's work was never cut off.
source ./netplan
trap 'document lab0 | sed "s/state: up/state: absent/" | nmctl apply - || true' EXIT
everything >before
kept_by_us >kept-before
killed() {
  kill -KILL "$(main_pid)"
  within 120 nmctl status
  systemctl reset-failed nmstated
}
as_it_was() {
  within 120 as_before || { diff before after | head -n 40; return 1; }
  kept_by_us | cmp - kept-before
  [ "$(nmctl list --json | jq length)" = 0 ]
  untouched
}

document lab0 | nmctl apply - >/dev/null 2>&1 &
within 120 is_applying
applying=$(pid_of_apply)
killed
as_it_was
journalctl --sync
if journalctl _PID="$applying" | grep -i traceback; then false; fi
document lab0 | nmctl apply --no-commit --timeout 300 -
killed
nmctl rollback >/dev/null 2>&1 &
within 120 is_applying
killed
as_it_was
