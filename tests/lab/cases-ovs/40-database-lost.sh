# The database of Open vSwitch dies before, during and after a change; and NetworkManager has not found it. Whatever
# is not done is rolled back, in a bounded time and with clear words.
trap 'systemctl start openvswitch-switch; nmctl rollback || true; none | nmctl apply - || true' EXIT
document() { # [bridge]
  cat <<DOCUMENT
interfaces:
- name: ${1:-ovs4}
  type: ovs-bridge
  bridge: {port: [{name: in4}]}
- {name: in4, type: ovs-interface, ipv4: {enabled: true, address: [{ip: 192.0.2.64, prefix-length: 24}]}}
DOCUMENT
}
none() { echo 'interfaces: [{name: ovs4, type: ovs-bridge, state: absent}, {name: in4, type: ovs-interface, state: absent}]'; }
lacks_bridge() { ! ovs-vsctl --timeout=5 br-exists ovs4; }
nothing_left() { lacks_bridge && lacks_link in4 && ! grep -q 4 <<<"$(nmcli -g NAME connection show)"; }
# systemd starts it again, and ovs-vswitchd with it.
forwarder() { cat /run/openvswitch/ovs-vswitchd.pid; }
die() {
  dead=$(forwarder)
  kill -KILL "$(cat /run/openvswitch/ovsdb-server.pid)"
}
runs() { [ "$(forwarder)" != "$dead" ] && ovs-appctl --timeout=1 version && ovs-vsctl --timeout=1 show; }
seen() { nmctl show --json | jq --exit-status '.["ovs-db"]'; }
returns() { within 60 runs; within 30 seen; }

# Before.
die
nmctl show >shown
gone() { refused "Open vSwitch's database is not there" nmctl plan -; }
document | gone
returns

# During: either it is done, or nothing of it.
for delay in 0.1 0.5 1; do
  document | nmctl apply - >said 2>&1 &
  sleep $delay
  die
  began=$SECONDS
  code=0
  wait $! || code=$?
  echo "killed after $delay s: $code after $((SECONDS - began)) s"
  tail -n 3 said
  [ $((SECONDS - began)) -lt 120 ]
  returns
  if [ $code = 0 ]; then
    [ "$(ovs-vsctl list-ports ovs4)" = in4 ]
    document | nmctl plan --exit-code -
    none | nmctl apply -
  fi
  within 30 nothing_left || { ovs-vsctl show; ip -br link; nmcli connection; nmcli device; exit 1; }
done

# Afterwards: while a change awaits commit.
document | nmctl apply --no-commit -
die
returns
document | nmctl plan --exit-code -
nmctl rollback
within 30 nothing_left

# It comes back only while a rollback waits for it.
ovs-vsctl set open_vswitch . external_ids:lab-own=was
echo 'ovs-db: {external_ids: {lab-own: is}}' | nmctl apply --no-commit -
die
nmctl rollback
[ "$(ovs-vsctl get open_vswitch . external_ids:lab-own)" = was ]
returns

# NetworkManager looked for it before it was there, and never again.
systemctl stop openvswitch-switch ovsdb-server
systemctl restart NetworkManager
systemctl start openvswitch-switch
within 30 seen
began=$SECONDS
not_connected() { refused "restart NetworkManager" nmctl apply -; }
document | not_connected
figure "an apply through a NetworkManager without the database ends after $((SECONDS - began)) s"
[ $((SECONDS - began)) -lt 90 ]
within 30 nothing_left || { ovs-vsctl show; ip -br link; nmcli connection; nmcli device; exit 1; }
systemctl restart NetworkManager
connected() { document | nmctl apply -; }
within 60 connected
[ "$(ovs-vsctl list-ports ovs4)" = in4 ]
