# Documents of /etc/nmstate are applied before READY, a mistake in one is told and holds up nothing.
mkdir -m 755 -p /etc/nmstate
trap 'rm -rf /etc/nmstate; printf "interfaces:\n- {name: lab0, state: absent}\n- {name: lab1, state: absent}\n" | nmctl apply -' EXIT
document lab0 >/etc/nmstate/10-lab0.yml
printf 'interfaces:\n- name: lab0\n  mtuu: 1400\n' >/etc/nmstate/20-mistake.yml
printf 'interfaces:\n- name: lab1\n  type: dummy\n  state: up\n' >/etc/nmstate/30-lab1.yaml
ln -s /etc/passwd /etc/nmstate/40-link.yml
chmod 644 /etc/nmstate/*.y*ml

# What is ordered after the service finds them.
systemctl stop nmstated.service
systemd-run --wait --quiet -p Requires=nmstated.service -p After=nmstated.service ip link show lab1
stands() { nmctl status --json | jq -e --arg file "$1" --arg outcome "$2" '.boot_documents[] | select(.file == $file) | .outcome == $outcome'; }
nmctl status
stands 10-lab0.yml applied
stands 20-mistake.yml failed
stands 30-lab1.yaml applied
stands 40-link.yml failed
nmctl status | grep -F '20-mistake.yml: failed at line 3, column 3'
nmctl history | grep -F 'nmstated:10-lab0.yml'
journalctl --sync
journalctl -b -u nmstated DOCUMENT=20-mistake.yml -x --no-pager | grep -F 'the other documents in /etc/nmstate are not held up'
journalctl -b -u nmstated DOCUMENT=20-mistake.yml INTERFACE=lab0 -o json | jq -e .ERROR

# Once per content; what is new comes with a reload. Nothing is renamed.
ip link set lab0 mtu 1300
systemctl restart nmstated
stands 10-lab0.yml unchanged
[ "$(cat /sys/class/net/lab0/mtu)" = 1300 ]
printf 'interfaces:\n- name: lab0\n  mtu: 1400\n' >/etc/nmstate/20-mistake.yml
systemctl reload nmstated
within 30 stands 20-mistake.yml applied
[ "$(cat /sys/class/net/lab0/mtu)" = 1400 ]
[ "$(ls /etc/nmstate | tr '\n' ' ')" = "10-lab0.yml 20-mistake.yml 30-lab1.yaml 40-link.yml " ]

# A start with documents that are applied takes no longer.
systemctl restart nmstated
figure "start with four documents: $(systemd-analyze --no-pager blame 2>/dev/null | awk '/nmstated.service/ {print $1}')"
