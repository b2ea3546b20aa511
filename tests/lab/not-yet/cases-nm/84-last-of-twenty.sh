# The last of 20 interfaces cannot be activated, a port vanishes meanwhile: nothing of the change is left, and the
# client is told which and why.
source ./peers
source "$repository/tests/lab/crash/lib"
cleanup() {
  peers_gone
  nmctl rollback >/dev/null 2>&1 || true
  { echo interfaces:; for i in $(seq 0 20); do echo "- {name: lab$i, state: absent}"; done; } | nmctl apply - || true
}
trap cleanup EXIT
before() { nmctl show --json | jq -S . ; profiles; }
twenty() { # the last
  echo interfaces:
  for i in $(seq 1 19); do
    printf -- '- {name: lab%d, type: dummy, state: up, ipv4: {enabled: true, address: [{ip: 192.0.2.%d, prefix-length: 32}]}}\n' $i $i
  done
  echo "$1"
}
document lab0 | sed 's/192.0.2.7/198.51.100.7/' | nmctl apply -
peer eth7 # a port that lets nobody in
serve_802.1x eth7
before >was
began=$(date +%s%3N)
twenty '- {name: eth7, type: ethernet, state: up, 802.1x: {identity: lab, eap-methods: [md5], password: wrong}}' |
  refused eth7 nmctl apply -
figure "the last of 20 fails after $(($(date +%s%3N) - began)) ms"
same() { before | cmp -s - was; }
within 10 same || { before | diff was -; exit 1; }

# A port that vanishes while the bridge that holds it comes up.
bad=0
for moment in 0.05 0.2 0.5 1 2; do
  peer eth8
  twenty '- {name: lab20, type: linux-bridge, state: up, bridge: {port: [{name: eth8}]}}' | nmctl apply - >said 2>&1 &
  client=$! told=0
  sleep $moment
  ip link delete eth8
  wait $client || told=$?
  echo "the port goes after $moment s: told $told: $(sed -n 's/^error: //p' said)"
  ip netns delete peer-eth8
  [ "$(nmctl list --json | jq length)" = 0 ]
  if [ $told = 0 ]; then
    # It was committed before the port went.
    nmctl show lab19 | grep -F 192.0.2.19
    { echo interfaces:; for i in $(seq 1 20); do echo "- {name: lab$i, state: absent}"; done; echo '- {name: eth8, state: absent}'; } | nmctl apply - >/dev/null
  fi
  within 10 same || { before | diff was - | head -n 40; bad=$((bad + 1)); }
done
[ $bad = 0 ]
