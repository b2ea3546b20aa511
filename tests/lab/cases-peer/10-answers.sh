# Every document, policy and mistake of tests/compatibility, asked of nmstatectl and of ours on one network: what a change
# would come to, what leads back from it, and with which kind of error it is refused. Nothing of it is applied.
source ./peers
trap 'nmctl apply leave.yml || true; peers_gone' EXIT
for number in 0 1 2 3; do peer eth$number 198.18.$number 2001:db8:f$number 02:00:00:00:00:1$number; done
# As tests/compatibility/current.yml, as far as this machine has it.
nmctl apply - <<'DOCUMENT'
interfaces:
- {name: eth0, type: ethernet, ipv4: {enabled: true, address: [{ip: 192.0.2.10, prefix-length: 24}]}, ipv6: {enabled: false}}
- name: eth1
  type: ethernet
  ipv4: {enabled: true, address: [{ip: 203.0.113.10, prefix-length: 24}]}
  ipv6: {enabled: true, address: [{ip: '2001:db8::10', prefix-length: 64}]}
- {name: eth2, type: ethernet, ipv4: {enabled: false}, ipv6: {enabled: false}}
- {name: eth3, type: ethernet, ipv4: {enabled: false}, ipv6: {enabled: false}}
routes:
  config:
  - {destination: 0.0.0.0/0, next-hop-interface: eth0, next-hop-address: 192.0.2.1, metric: 100}
  - {destination: 198.51.100.0/24, next-hop-interface: eth1, next-hop-address: 203.0.113.1, metric: 101}
route-rules:
  config:
  - {family: ipv4, ip-from: 192.0.2.0/24, priority: 100, route-table: 200}
dns-resolver: {config: {server: [192.0.2.53], search: [example.com]}}
DOCUMENT
cat >leave.yml <<'DOCUMENT'
interfaces: [{name: eth0, state: absent}, {name: eth1, state: absent}, {name: eth2, state: absent}, {name: eth3, state: absent}]
route-rules: {config: [{state: absent, priority: 100}]}
dns-resolver: {config: {}}
DOCUMENT
nmctl show >before.yml
tests/compatibility live ./nmstatectl
nmctl show | diff before.yml -
