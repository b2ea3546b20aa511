# A port vanishes for good while the bridge that is to hold it comes up: the client is told of that port alone, and all
# else is as it was.
source ./peers
source "$repository/tests/lab/crash/lib"
cleanup() {
  peers_gone
  nmctl rollback >/dev/null 2>&1 || true
  { echo interfaces:; for i in $(seq 0 10); do echo "- {name: lab$i, state: absent}"; done; } | nmctl apply - || true
}
trap cleanup EXIT
before() { nmctl show --json | jq -S . ; profiles; }
ten() { # the last
  echo interfaces:
  for i in $(seq 1 9); do
    printf -- '- {name: lab%d, type: dummy, state: up, ipv4: {enabled: true, address: [{ip: 192.0.2.%d, prefix-length: 32}]}}\n' $i $i
  done
  echo "$1"
}
document lab0 | sed 's/192.0.2.7/198.51.100.7/' | nmctl apply -
before >was

peer eth8
ten '- {name: lab10, type: linux-bridge, state: up, bridge: {port: [{name: eth8}]}}' | nmctl apply - >said 2>&1 &
client=$! told=0
timeout 30 grep -q -m 1 'activate lab1' <(exec tail --pid=$client --sleep-interval=0.01 --lines=+1 --follow said)
began=$SECONDS
ip link delete eth8
wait $client || told=$?
tail -n 4 said
figure "a port that vanished: told $told after $((SECONDS - began)) s"
[ $told = 4 ]
nmctl history --json --limit 1 | jq -e '.[0].unrestored | length > 0 and all(contains("eth8"))'
[ "$(nmctl list --json | jq length)" = 0 ]
ip netns delete peer-eth8
same() { before | cmp -s - was; }
within 10 same || { before | diff was -; exit 1; }
