//! The Python module, by its own tests.

use std::process::Command;

use crate::harness::{Daemon, fresh_network, in_namespace};

#[test]
fn the_python_module_does_what_it_says() {
    in_namespace(|| {
        fresh_network();
        let daemon = Daemon::start();
        let schema = daemon.file("schema.json", &daemon.printed(&["schema"]));
        let root = env!("CARGO_MANIFEST_DIR");
        let ran = Command::new("python3")
            .args(["-B", "-m", "unittest", "-v", "test_libnmstate"])
            .current_dir(format!("{root}/tests/python"))
            .env("PYTHONPATH", format!("{root}/packaging/python"))
            .env("NMCTL_SOCKET", daemon.socket())
            .env("SCHEMA", schema)
            .output()
            .expect("python3 is installed");
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        daemon.assert_settled();
    });
}
