# Every document for the kernel backend is applied, verified and taken back; nothing is refused.
systemctl stop nmstated nmstated.socket
./tests/netns --test-threads=1 --nocapture | tee said
figure "$(grep -oE "[0-9]+ passed, [0-9]+ not expressible on this kernel" said | paste -sd";")"
if grep 'not expressible here' said; then exit 1; fi
