# A closed port: a change with the right password opens it; with a wrong one it fails in words, and the former
# network is back. Secrets are shown to nobody.
source ./peers
trap 'peers_gone; printf "interfaces: [{name: eth7, state: absent}]\n" | nmctl apply - || true' EXIT
peer eth7
serve_802.1x eth7
login() { # password
  printf 'interfaces:\n- name: eth7\n  type: ethernet\n  state: up\n  802.1x: {identity: lab, eap-methods: [%s], password: %s}\n  ipv4: {enabled: true, address: [{ip: 192.0.2.7, prefix-length: 24}]}\n' "$2" "$1"
}
echo 'interfaces: [{name: eth7, type: ethernet, state: up, ipv4: {enabled: true, address: [{ip: 192.0.2.9, prefix-length: 24}]}}]' | nmctl apply -
nmctl show eth7 >before
began=$(date +%s%3N)
if login wrong md5 | nmctl apply - >said 2>&1; then exit 1; fi
figure "a wrong password is told after $(($(date +%s%3N) - began)) ms: $(grep -m 1 error: said)"
cat said
if grep -F wrong said; then false; fi
within 30 eval 'nmctl show eth7 | diff before -'

began=$(date +%s%3N)
login right md5 | nmctl apply -
figure "logged in after $(($(date +%s%3N) - began)) ms"
authenticated eth7
login right md5 | nmctl plan --exit-code -
nmctl show eth7 | grep -F 'password: <_password_hid_by_nmstate>'
nmctl show --show-secrets eth7 | grep -F 'password: right'
# What was shown means "as it is".
nmctl show eth7 | nmctl plan --exit-code -
# Whoever reads secrets makes NetworkManager say that the profile was updated. So do we: once, not again and again.
busctl monitor org.freedesktop.NetworkManager >calls 2>&1 &
monitor=$!
within 30 grep -q Monitoring calls
profile=$(nmcli -t -f DBUS-PATH,DEVICE connection show | sed -n 's/:eth7$//p')
busctl call org.freedesktop.NetworkManager "$profile" org.freedesktop.NetworkManager.Settings.Connection GetSecrets s 802-1x >/dev/null
asked() { grep -c Member=GetSecrets calls; }
twice() { [ "$(asked)" -ge 2 ]; }
within 30 twice
sleep 3 # in which they would be asked for a hundred times
kill $monitor
wait $monitor || true
asked=$(asked)
figure "secrets were asked for $asked times in some 3 s, once by the case"
# One of ours may have been under way when the watching began.
[ "$asked" -le 3 ]
journalctl --sync
if journalctl -b -u nmstated --no-pager | grep -E 'right|wrong'; then false; fi
if grep -lE 'right|wrong' /var/lib/nmstated/history; then false; fi
