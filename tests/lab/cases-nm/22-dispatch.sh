# Scripts of the dispatcher: written by the service in its sandbox, run by NetworkManager, shown, taken back; and those
# of the peer are shown as well.
trap 'rm -f /run/said; document lab0 | sed "s/state: up/state: absent/" | nmctl apply - || true' EXIT
scripts=/etc/NetworkManager/dispatcher.d
document lab0 | nmctl apply -
cat >dispatch.yml <<'DOCUMENT'
interfaces:
- name: lab0
  type: dummy
  state: up
  mtu: 1400
  dispatch:
    post-activation: |
      echo up "$1" >>/run/said
    post-deactivation: echo down "$1" >>/run/said
DOCUMENT
nmctl apply --no-commit dispatch.yml
nmctl show lab0 | grep -F 'echo up "$1" >>/run/said'
up() { grep -x 'up lab0' /run/said; }
within 30 up
nmctl rollback
if ls $scripts | grep nmstate; then false; fi
nmctl apply dispatch.yml
nmctl plan --exit-code dispatch.yml
[ "$(stat -c %a $scripts/nmstate-lab0-up.sh)" = 744 ]

cat >$scripts/nmstate-lab0-up.sh <<'SCRIPT'
#!/usr/bin/bash
if [ "$1" == "lab0" ] && { [ "$2" == "up" ] || [ "$2" == "reapply" ]; }; then
## NMSTATE DISPATCH SCRIPT START
echo peer >>/run/said
## NMSTATE DISPATCH SCRIPT END
fi
SCRIPT
nmctl apply - <<<'interfaces: [{name: lab0, type: dummy, mtu: 1300}]'
nmctl show lab0 | grep -F 'post-activation: echo peer >>/run/said'
nmctl apply - <<<'interfaces: [{name: lab0, type: dummy, state: down}]'
down() { grep -x 'down lab0' /run/said; }
within 30 down
document lab0 | sed 's/state: up/state: absent/' | nmctl apply -
if ls $scripts | grep nmstate; then false; fi
