# Kinds of links that documents do not describe are shown as they are, and left alone by a change and its rollback.
cleanup() { for link in gen0 team0 ifb9; do ip link del $link 2>/dev/null || true; done; }
trap cleanup EXIT
ip link add gen0 address 02:00:00:00:00:21 type geneve id 77 remote 192.0.2.9
ip link add team0 address 02:00:00:00:00:22 type team
ip link add ifb9 type ifb
ip addr add 198.51.100.9/24 dev gen0
ip link set gen0 up
nmctl show --json >all; jq -c "[.interfaces[].name]" all; sleep 1; nmctl show --json >all; jq -c "[.interfaces[].name]" all
jq '.interfaces |= map(select(.name == ("gen0", "team0", "ifb9")))' all >shown
head -c 600 all; jq -c ".interfaces[] | [.name,.type]" all; ip -br link
jq -c '.interfaces[] | [.name, .type, .state, ."mac-address"]' shown
[ "$(jq -c '[.interfaces[] | .name] | sort' shown)" = '["gen0","ifb9","team0"]' ]
jq -e '.interfaces[] | select(.name == "gen0") | ."mac-address" == "02:00:00:00:00:21" and .state == "up"
  and .ipv4.address[0].ip == "198.51.100.9"' shown
links() { ip -j -d link show "$1" | jq -c '.[0] | [.ifindex, .linkinfo.info_kind, .linkinfo.info_data, .flags]'; }
for link in gen0 team0 ifb9; do links $link; done >before
document lab0 | nmctl apply --no-commit -
nmctl rollback
for link in gen0 team0 ifb9; do links $link; done | diff before -
