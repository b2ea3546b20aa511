# With 100,000 routes a start takes no second, and a daemon at rest gives its memory back.
ip link add routes0 type veth peer name routes1
ip link set routes0 up
ip link set routes1 up
ip address add 198.51.100.1/24 dev routes0
awk 'BEGIN { for (i = 0; i < 100000; i++)
  printf "route add 10.%d.%d.%d/32 via 198.51.100.2 dev routes0 proto static\n", i / 65536, i / 256 % 256, i % 256 }' >routes
ip -batch routes
to_ready() {
  local began ready
  systemctl restart nmstated
  began=$(systemctl show -P ExecMainStartTimestampMonotonic nmstated)
  ready=$(systemctl show -P ActiveEnterTimestampMonotonic nmstated)
  echo $(((ready - began) / 1000))
}
again=$(to_ready)
document routes2 >bare.yml
nmctl apply bare.yml
rm -f /var/lib/nmstated/boot
first=$(to_ready)
figure "start to READY with 100,000 routes: $again ms; first in a boot, with the return of what is committed: $first ms"
resident() { awk '$1 == "RssAnon:" { print int($2 / 1024) }' /proc/"$(main_pid)"/status; }
before=$(resident)
for _ in 1 2 3; do nmctl show --json >/dev/null; done
during=$(resident)
gave_back() { [ "$(resident)" -le $((before + 8)) ]; }
within 60 gave_back
figure "memory of its own: $before MiB before three queries, $during MiB after, $(resident) MiB at rest"
same=$(date +%s%N)
nmctl apply bare.yml
figure "apply of what holds: $((($(date +%s%N) - same) / 1000000)) ms"
if [ "$(cat profile)" = release ]; then
  [ "$again" -le 1000 ]
  [ "$first" -le 1000 ]
fi
sed -i 's/state: up/state: absent/' bare.yml
nmctl apply bare.yml
ip link delete routes0
