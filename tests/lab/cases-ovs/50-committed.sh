# What is committed is as it was after a restart of NetworkManager, of Open vSwitch, and of both: the profiles of ports
# too, which only their bridge speaks of.
source ./peers
source ./examples
trap 'nmctl rollback || true; nmctl apply none.yml || true; peers_gone' EXIT
cat >none.yml <<'DOCUMENT'
interfaces:
- {name: ovs5, type: ovs-bridge, state: absent}
- {name: in5, type: ovs-interface, state: absent}
DOCUMENT
document() { # tag of the interface, tag of the card, mode of failure
  cat <<DOCUMENT
interfaces:
- name: ovs5
  type: ovs-bridge
  bridge:
    options: {fail-mode: $3}
    port:
    - {name: eth1, vlan: {mode: trunk, trunk-tags: [{id: $2}]}}
    - {name: in5, vlan: {mode: access, tag: $1}}
- name: in5
  type: ovs-interface
  ipv4: {enabled: true, address: [{ip: 192.0.2.65, prefix-length: 24}]}
  ipv6: {enabled: false}
DOCUMENT
}
peer eth1 192.0.2 2001:db8:1
udevadm settle
nmctl apply - <<<'interfaces: [{name: eth1, type: ethernet, ipv4: {enabled: false}, ipv6: {enabled: false}}]'

on_disk() { [ "$(nmcli -t -f FILENAME connection show | grep -c '^/etc/.*\(ovs5\|in5\|eth1\)')" = 5 ]; }
tags() { nmcli -g ovs-port.tag connection show in5-port; nmcli -g ovs-port.trunks connection show eth1-port; }
committed() { # tag of the interface, tag of the card
  [ "$(tags)" = "$1
$2" ]
  [ "$(ovs-vsctl get port in5 tag)" = "$1" ]
  [ "$(ovs-vsctl get port eth1 trunks)" = "[$2]" ]
  on_disk
}
restarted() { # unit...
  systemctl restart "$@"
  local began=$SECONDS
  within 40 nmctl plan --exit-code last.yml
  within 30 as_before || { diff -U 2 before after; exit 1; }
  figure "as committed $((SECONDS - began)) s after a restart of $*"
}
for step in '10 20 standalone' '30 40 secure'; do
  read -r tag trunk mode <<<"$step"
  document "$tag" "$trunk" "$mode" >last.yml
  # The commit is a step of its own, as is a commit right behind the change.
  if [ "$tag" = 10 ]; then nmctl apply last.yml; else nmctl apply --no-commit last.yml && nmctl commit; fi
  committed "$tag" "$trunk"
  within 30 nmctl plan --exit-code last.yml
  everything >before
  restarted NetworkManager
  committed "$tag" "$trunk"
  restarted ovs-vswitchd
  committed "$tag" "$trunk"
  restarted NetworkManager ovs-vswitchd
  committed "$tag" "$trunk"
done
# A port that has gone, and was committed so, does not come back.
cat >last.yml <<'DOCUMENT'
interfaces: [{name: ovs5, type: ovs-bridge, bridge: {port: [{name: in5, vlan: {mode: access, tag: 30}}]}}]
DOCUMENT
nmctl apply last.yml
everything >before
restarted NetworkManager ovs-vswitchd
[ "$(ovs-vsctl list-ports ovs5)" = in5 ]
if nmcli -g NAME connection show | grep eth1-port; then false; fi
