# The Python module does what its own tests say, under the distribution's python3; others than root may look.
nmctl schema >/tmp/schema.json
cd "$repository/tests/python"
export PYTHONPATH=../../packaging/python
SCHEMA=/tmp/schema.json python3 -B -m unittest -v test_libnmstate
as_nobody python3 -B -c 'import libnmstate; print(len(libnmstate.show()["interfaces"]))'
refused NmstatePermissionError as_nobody python3 -B -c '
import libnmstate
libnmstate.apply({"interfaces": [{"name": "py0", "type": "linux-bridge", "state": "up"}]})'
lacks_link py0
