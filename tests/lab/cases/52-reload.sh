# The level of logging changes on reload; a file with a mistake is refused, and the daemon goes on.
cp /etc/nmstated.conf /tmp/nmstated.conf
old=$(main_pid)
said() { journalctl --sync && journalctl -b _PID="$old" MESSAGE_ID="$1" -o json | jq -e "$2"; }
nmstated --check-config
echo 'log = debug' >>/etc/nmstated.conf
nmstated --check-config
systemctl reload nmstated
within 30 said 7c37eee172734118b57469087675f9e9 '.LOG == "DEBUG" and .NEEDS_RESTART == "false"'
echo 'lgo = debug' >>/etc/nmstated.conf
line=$(wc -l </etc/nmstated.conf)
refused "/etc/nmstated.conf:$line: unknown key \`lgo\`" nmstated --check-config
refused "" systemctl reload nmstated
kill -HUP "$old"
within 30 said 1a830f5b4dc249588b7c4d9051a5fe70 .
cp /tmp/nmstated.conf /etc/nmstated.conf
systemctl reload nmstated
[ "$(main_pid)" = "$old" ]
systemctl is-active nmstated
