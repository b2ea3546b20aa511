# The last of 20 interfaces cannot be activated: nothing of the change is left, and the client is told which and why.
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
