# What others do: a file that is broken, a `netplan try` that waits and one that was killed, netplan's own service
# killed, the renderer started again. None of it is changed by us, and nothing is left of a change that cannot be.
source ./netplan
own=/run/netplan/90-nmstated.yaml
renderer=$(sed -n 's/^ *renderer: //p' /etc/netplan/10-admin.yaml)
[ "$renderer" = NetworkManager ] || renderer=systemd-networkd
pretender=
trap 'kill $pretender || true; rm -f /etc/netplan/20-broken.yaml; document lab0 | sed "s/state: up/state: absent/" | nmctl apply - || true' EXIT
broken() { printf '%s\n' "$@" >/etc/netplan/20-broken.yaml && chmod 600 /etc/netplan/20-broken.yaml; }
nothing_of_it() { lacks_link lab0 && [ ! -e $own ] && [ ! -e /etc/netplan/90-nmstated.yaml ]; }

broken 'network:' '  ethernets: {eth7: {dhcp4: true'
document lab0 | refused '/etc/netplan/20-broken.yaml:' nmctl plan -
# What only netplan itself knows: while planning, before anything is written.
broken 'network:' '  ethernets:' '    eth7:' '      adresses: [192.0.2.1/24]'
document lab0 | refused '/etc/netplan/20-broken.yaml:4:7' nmctl plan -
document lab0 | refused '/etc/netplan/20-broken.yaml:4:7' nmctl apply -
nothing_of_it
rm /etc/netplan/20-broken.yaml

# What is said beside the administrator is told, and which of both wins.
printf 'interfaces: [{name: admin0, type: dummy, mtu: 1400, mac-address: "02:00:5e:10:00:f1"}]' | nmctl plan - >said 2>&1
grep -F '`admin0` is defined at /etc/netplan/10-admin.yaml:7:5, too: 90-nmstated.yaml is read later, wins for `macaddress`' said

# What awaits commit is kept once nobody can put all files back any more.
document lab0 | nmctl apply --no-commit --timeout 300 -
touch try
bash -c 'exec -a netplan tail -f try' &
pretender=$!
within 30 pgrep -fx 'netplan -f try'
nmctl commit &
commit=$!
committing() { nmctl list --json | jq -e '.[0].stage == "committing"'; }
within 30 committing
[ -e $own ]
kill $pretender
wait $commit
[ ! -e $own ] && [ -e /etc/netplan/90-nmstated.yaml ]
document lab0 | sed 's/state: up/state: absent/' | nmctl apply -
nothing_of_it

sleep 300 | netplan try --timeout 200 >tried 2>&1 &
# From its start, when it has not yet made its mark, on.
within 60 pgrep -f 'netplan try'
document lab0 | refused 'a `netplan try` awaits confirmation' nmctl apply -
within 60 test -e /run/netplan/netplan-try.ready
document lab0 | refused 'a `netplan try` awaits confirmation' nmctl apply -
nothing_of_it
pkill -KILL -f 'netplan try'
# Its mark would keep netplan from everything.
[ -e /run/netplan/netplan-try.ready ]
busctl --quiet call io.netplan.Netplan /io/netplan/Netplan io.netplan.Netplan Info
document lab0 | nmctl apply --no-commit - &
within 60 is_applying
pkill -KILL netplan-dbus
wait $!
systemctl restart $renderer
has_link lab0
nmctl rollback
nothing_of_it
untouched
