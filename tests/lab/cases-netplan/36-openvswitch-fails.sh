# What may go wrong while netplan has a change carried out by Open vSwitch: one of its units fails, the daemon is killed,
# ovs-vswitchd ends. Each time the network, the database and all files are as before, or it is told what is not.
source "$repository/tests/lab/crash/lib"
source ./peers
source ./netplan
dropin=/etc/systemd/system/netplan-ovs-ovs1.service.d
cleanup() {
  rm -rf $dropin
  systemctl start openvswitch-switch ovs-vswitchd || true
  nmctl rollback >/dev/null 2>&1 || true
  nmctl apply - >/dev/null 2>&1 <<'DOCUMENT' || true
interfaces:
- {name: ovs0, type: ovs-bridge, state: absent}
- {name: ovs1, type: ovs-bridge, state: absent}
- {name: eth1, type: ethernet, state: absent}
- {name: eth2, type: ethernet, state: absent}
DOCUMENT
  systemctl stop openvswitch-switch ovs-vswitchd || true
  peers_gone
}
trap cleanup EXIT
example=openvswitch-fails
everything() { with_database; }
systemctl start openvswitch-switch
peer eth1
peer eth2 203.0.113 2001:db8:3
nmctl apply - <<'DOCUMENT'
interfaces:
- {name: eth1, type: ethernet, ipv4: {enabled: false}, ipv6: {enabled: false}}
- {name: eth2, type: ethernet, ipv4: {enabled: false}, ipv6: {enabled: false}}
DOCUMENT
cat >bridges.yml <<'DOCUMENT'
interfaces:
- name: ovs0
  type: ovs-bridge
  ovs-db: {external_ids: {rack: b7}}
  bridge: {options: {rstp: true}, port: [{name: eth1}]}
- {name: ovs0, type: ovs-interface, ipv4: {enabled: true, address: [{ip: 192.0.2.90, prefix-length: 24}]}}
- {name: ovs1, type: ovs-bridge, bridge: {port: [{name: eth2}]}}
DOCUMENT
as_it_was() { # after what
  back_as_before "$1"
  kept_by_us | cmp - kept-before
  [ "$(nmctl list --json | jq length)" = 0 ]
  within 30 no_units_left
  untouched
}

# The last of the units fails: something is wrong with what an administrator has added to it.
everything >before
kept_by_us >kept-before
mkdir -p $dropin
printf '[Service]\nExecStartPost=/usr/bin/ovs-vsctl set Bridge ovs1 fail_mode=neither\n' >$dropin/lab.conf
began=$(date +%s%N)
refused 'netplan-ovs-ovs1.service failed' nmctl apply bridges.yml
figure "a unit of netplan's that fails: undone after $((($(date +%s%N) - began) / 1000000)) ms"
rm -r $dropin
as_it_was "a unit that fails"
nmctl history --json --limit 1 | jq -e '.[0] | .stage == "rolled-back" and (.unrestored // [] | length == 0)'

# The same without that, and from there on: a card goes over to the other bridge.
nmctl apply bridges.yml
cat >change.yml <<'DOCUMENT'
interfaces:
- {name: ovs1, type: ovs-bridge, bridge: {port: [{name: ovs1}]}}
- name: ovs0
  type: ovs-bridge
  ovs-db: {external_ids: {rack: c8}}
  bridge: {port: [{name: ovs0}, {name: bond1, link-aggregation: {mode: active-backup, port: [{name: eth1}, {name: eth2}]}}]}
DOCUMENT
everything >before
kept_by_us >kept-before
nmctl plan change.yml >/dev/null
# Killed when the cards have left their bridges, and netplan has not been told. (35 kills it while netplan applies.)
follow streams StartTransientUnit hold
nmctl apply change.yml >said 2>&1 &
held_at StartTransientUnit
kill -KILL "$(main_pid)"
wait $! || true
followed
back
as_it_was "a daemon killed before netplan applies"

# Open vSwitch itself ends while a change awaits commit; the database does not.
gone() {
  systemctl stop ovs-vswitchd
  systemctl start ovsdb-server
}
waits() { nmctl list --json | jq -e '.[0].progress.text == "wait for ovs-vswitchd"'; }
nmctl apply --no-commit --timeout 300 change.yml
gone
nmctl rollback >said 2>&1 &
within 30 waits
systemctl start ovs-vswitchd
wait $!
as_it_was "a rollback that had to wait for ovs-vswitchd"

# Nor does it come back: half a minute.
[ "$sample" = all ] || exit 0
nmctl apply --no-commit --timeout 300 change.yml
gone
told=0 began=$SECONDS
nmctl rollback >said 2>&1 || told=$?
figure "a rollback without ovs-vswitchd: told $told after $((SECONDS - began)) s"
cat said
[ $told = 4 ]
grep -F 'there is no ovs-vswitchd' said
kept_by_us | cmp - kept-before
untouched
# Once it is there again, what is committed can be had again.
systemctl start ovs-vswitchd
nmctl apply --restore
back_as_before "what is committed"
rm /var/lib/nmstated/incomplete
systemctl restart nmstated
nothing_open
within 30 no_units_left
