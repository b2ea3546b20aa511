# Names of definitions: what is shown and planned again is what was asked for, another name is another definition in the
# same file, and a cable, which has no permanent MAC address, is not found by one.
source ./peers
source ./netplan
trap 'echo "interfaces: [{name: eth1, type: ethernet, state: absent}]" | nmctl apply - || true; peers_gone' EXIT
peer eth1
renderer=$(sed -n 's/^ *renderer: //p' /etc/netplan/10-admin.yaml)
named() { # name [more]
  printf 'interfaces: [{name: eth1, type: ethernet, profile-name: %s, %s ipv4: {enabled: true, address: [{ip: 192.0.2.7, prefix-length: 24}]}}]\n' "$1" "${2:-}"
}
is_called() { # name
  nmctl show eth1 | grep -F "profile-name: $1"
  case $renderer in
    networkd) networkctl status eth1 | grep -F "10-netplan-$1.network" ;;
    *) nmcli -t -f NAME,DEVICE connection show --active | grep -Fx "$1:eth1" ;;
  esac
}
named wan | nmctl apply -
is_called wan
within 30 ping -c 1 -W 5 192.0.2.1
named wan | nmctl plan --exit-code -
nmctl show eth1 | nmctl plan --exit-code -
named lan | nmctl apply --no-commit -
is_called lan
nmctl rollback
is_called wan
mac=$(cat /sys/class/net/eth1/address)
named wan "identifier: mac-address, mac-address: '$mac'," | refused 'interfaces[0].identifier' nmctl plan -
untouched
