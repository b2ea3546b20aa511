# Whatever is in the state directory, the service comes up, says what is wrong and leaves the network alone.
state=/var/lib/nmstated
# What is known of boot documents matters only while there are some.
mkdir -p /etc/nmstate
echo 'interfaces: []' >/etc/nmstate/nothing.yml
systemctl reload nmstated
within 30 test -e $state/documents
document lab0 | nmctl apply -
document lab1 | sed 's/192.0.2.7/198.51.100.7/' | nmctl apply --no-commit --timeout 3600 -
systemctl stop nmstated.service
cp -a $state /tmp/state
cleanup() {
  umount $state 2>/dev/null || true
  systemctl restart nmstated
  # What still awaits commit, if anything does.
  nmctl rollback || true
  printf 'interfaces:\n- {name: lab0, state: absent}\n- {name: lab1, state: absent}\n' | nmctl apply -
  rm -f $state/*.unreadable
  rm -rf /tmp/state /etc/nmstate
}
trap cleanup EXIT
network() { ip -o -d address; ip route; }
# Lifetimes of leased addresses count down.
network | sed 's/[0-9]*sec//g' >/tmp/network

damaged() { # name how
  local file=$state/$1
  case $2 in
    cut) truncate --size=-$(($(stat -c %s "$file") / 3 + 1)) "$file" ;;
    version) sed -i '1s/"version":1/"version":9/' "$file" ;;
    garbage) head -c 4096 /dev/urandom >"$file" ;;
  esac
}

files=$(cd $state && ls | grep -v -e '^lock$' -e unreadable)
grep -qx checkpoint <<<"$files"
grep -qx committed <<<"$files"
grep -qx documents <<<"$files"
for file in $files; do
  for how in cut version garbage; do
    systemctl stop nmstated.service
    rm -rf ${state:?}/*
    cp -a /tmp/state/. $state/
    damaged "$file" $how
    systemctl start nmstated.service
    nmctl status | grep -F 'set aside' || { echo "$file $how: not told"; nmctl status; exit 1; }
    network | sed 's/[0-9]*sec//g' | diff /tmp/network - || { echo "$file $how: the network changed"; exit 1; }
    ls $state/"$file".unreadable
  done
done
journalctl --sync
journalctl -b -u nmstated MESSAGE_ID=c7aa98e5d4674d2585c9c4a38b573bdc -o cat --no-pager | tail -n 3
figure "$(wc -w <<<"$files") files, each damaged in three ways"

# A full disk, from the start on: everything can be looked at, nothing is changed.
systemctl stop nmstated.service
mount -t tmpfs -o size=64k,mode=700 tmpfs $state
cat /dev/zero >$state/filler 2>/dev/null || true
systemctl start nmstated.service
nmctl status
refused StorageError nmctl apply - <<<'interfaces: [{name: lab2, type: dummy, state: up}]'
lacks_link lab2
rm $state/filler
# The first request after that may only bring about that the disk is tried again.
lab2() { nmctl apply - <<<'interfaces: [{name: lab2, type: dummy, state: up}]'; }
within 30 lab2
nmctl apply - <<<'interfaces: [{name: lab2, state: absent}]'

# Read-only, as after errors of the file system.
systemctl stop nmstated.service
mount -o remount,ro $state
systemctl start nmstated.service || { journalctl -b -u nmstated -n 5 --no-pager; exit 1; }
nmctl status
refused StorageError nmctl apply - <<<'interfaces: [{name: lab2, type: dummy, state: up}]'
lacks_link lab2
systemctl stop nmstated.service
