# Somebody uses nmcli meanwhile: what a change does not touch is left alone by its rollback, what it touches is as
# before, and what was done to its profiles does not make it fail half-way.
cleanup() {
  nmcli connection delete other0 >/dev/null 2>&1 || true
  nmctl rollback >/dev/null 2>&1 || true
  printf 'interfaces:\n- {name: lab0, state: absent}\n- {name: lab1, state: absent}\n' | nmctl apply - || true
}
trap cleanup EXIT
second() { document lab1 | sed 's/192.0.2.7/198.51.100.7/'; }
document lab0 | nmctl apply -
profile=$(nmcli -g NAME,DEVICE connection show --active | grep ':lab0$' | cut -d: -f1)

# Of something else.
second | nmctl apply --no-commit -
nmcli connection add con-name other0 type dummy ifname other0 ipv4.method disabled ipv6.method disabled
nmcli --wait 20 connection up other0
nmctl rollback
lacks_link lab1
has_link other0
nmcli -g GENERAL.STATE connection show other0 | grep -F activated
ip address show lab0 | grep -F 192.0.2.7/24

# Of what awaits commit.
document lab0 | sed 's/192.0.2.7/192.0.2.8/' | nmctl apply --no-commit -
nmcli connection modify "$profile" ipv4.addresses 192.0.2.99/24
nmcli --wait 20 connection up "$profile"
nmctl rollback
was() { ip address show lab0 | grep -F 192.0.2.7/24 && ! ip address show lab0 | grep -F 192.0.2.99/24; }
within 30 was
[ "$(nmcli -g ipv4.addresses connection show "$profile")" = 192.0.2.7/24 ]

# Its profile removed: the rollback brings it back.
document lab0 | sed 's/192.0.2.7/192.0.2.8/' | nmctl apply --no-commit -
nmcli connection delete "$profile"
nmctl rollback
within 30 was
[ "$(nmcli -g ipv4.addresses connection show "$profile")" = 192.0.2.7/24 ]

# A new one removed, and with it its interface: the commit keeps what there is, which is not made again later.
second | nmctl apply --no-commit -
nmcli connection delete lab1
within 30 lacks_link lab1
nmctl commit
lacks_link lab1
if second | nmctl plan --exit-code - >/dev/null; then false; fi
[ "$(nmctl list --json | jq length)" = 0 ]

# While it is carried out.
nmcli connection modify "$profile" connection.autoconnect yes
document lab0 | sed 's/192.0.2.7/192.0.2.8/' >change.yml
for try in 1 2 3 4 5; do
  nmcli connection modify "$profile" ipv4.addresses 192.0.2.$((100 + try))/24 &
  nmctl apply change.yml >said 2>&1 || { grep -E 'error: ' said; }
  wait $!
  [ "$(nmctl list --json | jq length)" = 0 ]
done
nmctl apply change.yml
nmctl plan --exit-code change.yml
