# Addresses of the network: asked for with every option, waited for only where the document says so, kept when they
# become static.
source ./peers
trap 'peers_gone; printf "interfaces: [{name: eth7, state: absent}]\n" | nmctl apply - || true' EXIT
peer eth7
asks() { # more lines for IPv4, for the interface, for IPv6
  printf 'interfaces:\n- name: eth7\n  type: ethernet\n  state: up\n%s  ipv4:\n    enabled: true\n    dhcp: true\n%s  ipv6:\n    enabled: true\n    dhcp: true\n    autoconf: true\n%s' "$2" "$1" "${3:-}"
}
took() { began=$(date +%s%3N); "$@"; took=$(($(date +%s%3N) - began)); }

# Nobody answers: the change is made all the same, and committed.
asks '' '' >ask.yml
took nmctl apply ask.yml
figure "DHCP without a server: $took ms"
[ $took -lt 20000 ] # it waits 45 s and more for a server
nmctl plan --exit-code ask.yml
nmctl show eth7 | grep -F 'dhcp: true'
# Unless it says that it waits: then it is not done before there is one.
asks '' $'  wait-ip: ipv4\n' >wait.yml
echo 'interfaces: [{name: eth7, type: ethernet, state: up, ipv4: {enabled: false}, ipv6: {enabled: false}}]' | nmctl apply -
nmctl show eth7 >before
nmctl apply wait.yml >said 2>&1 &
waiting=$!
asking() { nmcli -g GENERAL.STATE device show eth7 | grep -F 70; }
within 30 asking
nmctl cancel "$(nmctl list --json | jq '.[0].id')"
if wait $waiting; then exit 1; fi
cat said
nmctl show eth7 | diff before -

serve_dhcp eth7 --dhcp-option=121,203.0.113.0/24,192.0.2.9
serve_ra eth7
took nmctl apply wait.yml
figure "DHCP waited for: $took ms"
ip -4 -o address show eth7 | grep -E ' 192\.0\.2\.1[0-9]{2}/24 '
nmctl plan --exit-code wait.yml
lease=$(nmctl show --json eth7 | jq -r '.interfaces[0].ipv4.address[0] | select(.["valid-life-time"]) | .ip')
[[ $lease == 192.0.2.* ]]
six() { nmctl show --json eth7 | jq -e '.interfaces[0].ipv6.address | map(.ip | select(startswith("2001:db8:1:"))) | length >= 2'; }
within 45 six
route() { nmctl show --json eth7 | jq -e '.routes.running // [] | map(.destination) | index("203.0.113.0/24")'; }
within 30 route
server() { nmctl show --json | jq -e '.["dns-resolver"].running.server | index("192.0.2.1")'; }
within 30 server

# Who asks, and for what.
asks $'    dhcp-client-id: "01:02:03:04:05:06:07"\n    dhcp-custom-hostname: guest7.example.org\n    dhcp-send-hostname: true\n    auto-routes: false\n    auto-dns: false\n' '' | nmctl apply -
within 30 grep -F 'client provides name: guest7' $peers/eth7/dhcp
within 30 grep -F '01:02:03:04:05:06:07' $peers/eth7/leases
no_route() { ! ip route | grep -F 203.0.113.0/24; }
within 30 no_route

# Where that leads: tables, metrics, and the identifiers of IPv6.
asks $'    auto-route-metric: 321\n    auto-route-table-id: 77\n' '' $'    dhcp-duid: ll\n    addr-gen-mode: eui64\n    token: ::7\n' |
  nmctl apply -
in_table() { ip route show table 77 | grep -F 'metric 321'; }
within 30 in_table
by_token() { nmctl show --json eth7 | jq -e '.interfaces[0].ipv6.address | map(.ip) | index("2001:db8:1::7")'; }
within 45 by_token
within 30 grep -iF ' 00:03:00:01:' $peers/eth7/leases

# Static from now on, with the address that was leased (M: what was leased becomes one's own).
lease=$(nmctl show --json eth7 | jq -r '.interfaces[0].ipv4.address[0].ip')
echo 'interfaces: [{name: eth7, type: ethernet, ipv4: {enabled: true, dhcp: false}}]' | nmctl apply -
ip -4 -o address show eth7 | grep -F " $lease/24 "
ip -4 -o address show eth7 | grep -F 'valid_lft forever'
nmcli -g ipv4.method connection show "$(nmcli -g NAME,DEVICE connection show --active | grep ':eth7$' | cut -d: -f1)" | grep -x manual

# A rollback does not wait for a lease either.
at eth7 pkill dnsmasq
asks '' $'  wait-ip: any\n' | nmctl apply --no-commit -
unplug eth7
took nmctl rollback
figure "rollback without a server: $took ms"
