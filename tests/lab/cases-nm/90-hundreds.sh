# A hundred interfaces in one document come, are rolled back, come again and go; 500 of them are part of the benchmarks
# (managed_window of tests/bench/run), since they take minutes here.
count=100
many() { # state
  echo interfaces:
  for i in $(seq 1 "$count"); do
    printf -- '- {name: many%d, type: dummy, state: %s%s}\n' $i "$1" "${2:-}"
  done
}
profiles() { nmcli -g NAME connection show | grep -c many || true; }
there() { ip -o link show type dummy | grep -c 'many' || true; }
took() { local began; began=$(date +%s%3N); "${@:2}" >/dev/null; figure "$count interfaces, $1: $(($(date +%s%3N) - began)) ms"; }
many up >many.yml
many absent >none.yml
took 'apply --no-commit' nmctl apply --no-commit --timeout 3600 many.yml
[ "$(there)" = "$count" ]
took rollback nmctl rollback
none() { [ "$(there)" = 0 ]; }
within 60 none
[ "$(profiles)" = 0 ]
took apply nmctl apply many.yml
[ "$(there) $(profiles)" = "$count $count" ]
took 'apply again' nmctl apply many.yml
took show nmctl show
took removal nmctl apply none.yml
[ "$(there) $(profiles)" = "0 0" ]
