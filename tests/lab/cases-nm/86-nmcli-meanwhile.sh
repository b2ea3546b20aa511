# Somebody changes with nmcli what a change of ours touches, while it is carried out, awaits commit, is rolled back or
# committed: which end that has, docs/safety.md says. The daemon is held for that long before one of its calls.
source "$repository/tests/lab/crash/lib"
source "$crash/service"
few
begin
keep_new

changed() { nmcli connection modify base0 ipv4.addresses 192.0.2.99/24; }
deleted() { nmcli connection delete "$1"; }
down() { nmcli device disconnect "$1"; }
stored() { nmcli -g ipv4.addresses connection show base0; }
# What the network is in the end, and what is stored.
is_stored() { # address
  [ "$(stored)" = "$1/24" ] || { echo "stored: $(stored)"; bad=$((bad + 1)); }
}
ended() { # old|new
  [ "$found" = "$1" ] || { echo "not $1"; bad=$((bad + 1)); }
}
# While it is carried out.
meanwhile() { # call command old|new
  interrupt "call:$1" "$2" apply "$change"
  ended "$3"
}

# Before the first request, which changes, adds and deletes profiles: it has the last word.
meanwhile Update2 changed new
# Nothing new is activated yet, or all is: it is undone. But a profile that somebody has changed and not activated stays
# as it is, with a network as asked.
meanwhile ActivateConnection changed new
meanwhile ActivateConnection "deleted br0" old
meanwhile 3:Update2 "down dum0" old

# In the window, and while it is rolled back.
for by in changed "deleted br0"; do
  before=$(last_id)
  awaiting
  $by
  nmctl rollback
  ends "$before" "$by in the window, rolled back"
  ended old
done
awaiting
interrupt call:Update2 changed rollback
ended old
awaiting
interrupt call:ActivateConnection "deleted base0" rollback
ended old
is_stored 192.0.2.10

# A commit keeps what it finds.
before=$(last_id)
awaiting
changed
nmctl commit
is_stored 192.0.2.99
ends "$before" "changed in the window, committed"
ended new
awaiting
down dum0
nmctl commit
lacks_link dum0
[ -e /etc/NetworkManager/system-connections/dum0.nmconnection ]
nmctl apply "$change"
is_new() { is new; }
within $patience is_new
reset
found "nmcli meanwhile"
end
[ $bad = 0 ]
