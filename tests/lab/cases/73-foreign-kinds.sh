# Kinds of links that documents do not describe are shown as they are, and left alone by a change and its rollback.
cleanup() { for link in gen0 team0 gre7; do ip link del $link 2>/dev/null || true; done; }
trap cleanup EXIT
ip link add gen0 address 02:00:00:00:00:21 type geneve id 77 remote 192.0.2.9
ip link add team0 address 02:00:00:00:00:22 type team
ip link add gre7 type gretap local 192.0.2.1 remote 192.0.2.3
ip addr add 198.51.100.9/24 dev gen0
ip link set gen0 up
links() { for link in gen0 team0 gre7; do ip -j -d link show $link; done |
  jq -c '.[0] | [.ifindex, .linkinfo.info_kind, .linkinfo.info_data, .flags]'; }
links >before
nmctl show --json >shown
jq -c '.interfaces[] | [.name, .type, .state, ."mac-address"]' shown
for shown in gen0:geneve team0:team gre7:gretap; do
  jq -e --arg name ${shown%:*} --arg type ${shown#*:} \
    '.interfaces[] | select(.name == $name) | .type == $type and .state == "ignore"' shown
done
jq -e '.interfaces[] | select(.name == "gen0") | ."mac-address" == "02:00:00:00:00:21"
  and .ipv4.address[0].ip == "198.51.100.9"' shown
# Nor does a document that was made from what is shown touch them.
nmctl show | nmctl plan --exit-code -
document lab0 | nmctl apply --no-commit -
nmctl rollback
links | diff before -
nmctl history --json | jq -e '.[0].unrestored // [] | length == 0'
