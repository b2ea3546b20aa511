# A daemon killed while a change awaits commit can still commit it after it has come back.
document lab0 | nmctl apply --no-commit --timeout 60 -
kill -KILL "$(main_pid)"
within 30 nmctl list
nmctl commit
has_link lab0
systemctl restart nmstated
has_link lab0
printf 'interfaces:\n- name: lab0\n  state: absent\n' | nmctl apply -
