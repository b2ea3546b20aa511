# Somebody changes with nmcli what a change of ours touches, while it is carried out and while it awaits commit: which
# end that has, docs/safety.md says.
source "$repository/tests/lab/crash/lib"
source "$crash/service"
few
begin
keep_new

changed() { nmcli connection modify base0 ipv4.addresses 192.0.2.99/24; }
deleted() { nmcli connection delete br0; }
down() { nmcli device disconnect dum0; }
stored() { nmcli -g ipv4.addresses connection show base0; }
# The daemon goes on only after that, unless it has got too far already: then nobody does anything.
first() {
  systemctl kill --signal=STOP nmstated
  if grep verifying said; then echo "too late: $*"; else "$@"; fi
  systemctl kill --signal=CONT nmstated
}

# While it is carried out, it is undone or has the last word.
interrupt 'applying 1/' "first changed" apply "$change"
[ "$(stored)" = 192.0.2.10/24 ]
interrupt 'applying .* change the profile of base0' "first changed" apply "$change"
[ "$(stored)" = 192.0.2.10/24 ]
interrupt 'applying .* add a profile of br0' "first deleted" apply "$change"
interrupt 'applying .* activate br0' "first deleted" apply "$change"
interrupt 'applying .* activate dum0' "first down" apply "$change"

# In the window, it is undone by a rollback.
for by in changed deleted down; do
  before=$(last_id)
  awaiting
  $by
  nmctl rollback
  ends "$before" "$by in the window, rolled back"
  [ "$found" = old ]
  [ "$(stored)" = 192.0.2.10/24 ]
done

# A commit keeps what it finds.
before=$(last_id)
awaiting
changed
nmctl commit
[ "$(stored)" = 192.0.2.99/24 ]
ends "$before" "changed in the window, committed"
[ "$(stored)" = 192.0.2.10/24 ]

awaiting
down
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
