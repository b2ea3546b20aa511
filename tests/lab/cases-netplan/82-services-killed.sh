# netplan's renderer, started again or killed, netplan itself and its service killed, while netplan applies a change or
# a rollback, and while the change awaits commit: the network and all files are wholly old or wholly new.
source ./netplan
source "$repository/tests/lab/crash/lib"
source "$crash/service"
few
begin
keep_new
renderer=$(sed -n 's/^ *renderer: //p' /etc/netplan/10-admin.yaml)
[ "$renderer" = NetworkManager ] || renderer=systemd-networkd
applies() { within 60 is_applying; }
again() { applies && systemctl restart $renderer; }
renderer_killed() { applies && { killed $renderer || true; }; }
apply_killed() { applies && killed nmstated-netplan-apply; }
bus_killed() {
  busctl --quiet call io.netplan.Netplan /io/netplan/Netplan io.netplan.Netplan Info
  applies && pkill -KILL netplan-dbus
}

# Of the steps the client is told only some; each of these waits for the apply of netplan by itself.
for by in again renderer_killed apply_killed bus_killed; do
  interrupt 'applying$' $by apply "$change"
done
for by in again apply_killed; do
  awaiting
  # Nothing is told of a rollback while it goes on.
  interrupt 1 $by rollback
done

# In the window: what awaits commit stays.
awaiting
systemctl restart $renderer
nmctl rollback
[ "$(which_network)" = old ]
found "renderer, netplan and its service end"
end
untouched
[ $bad = 0 ]
