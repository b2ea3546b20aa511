//! `nmctl` under the name `nmstatectl`: what scripts do.

use std::os::unix::process::CommandExt;
use std::process::Command;

use serde_json::Value as Json;

use crate::harness::{Daemon, Ran, in_namespace, with_input};

pub const BRIDGE: &str = "
interfaces:
- name: br7
  type: linux-bridge
  state: up
  mtu: 1400
";

/// Runs it with a document as standard input. It finds the daemon by the environment alone.
fn run(daemon: &Daemon, arguments: &[&str], input: &str) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nmctl"));
    command.arg0("nmstatectl").args(arguments).env("NMCTL_SOCKET", daemon.socket());
    Ran::of(with_input(&mut command, input).wait_with_output().expect("it ends"))
}

fn printed(daemon: &Daemon, arguments: &[&str], input: &str) -> String {
    let ran = run(daemon, arguments, input);
    assert_eq!(ran.code, Some(0), "nmstatectl {arguments:?}: {}{}", ran.out, ran.err);
    ran.out
}

pub fn yaml(text: &str) -> Json {
    serde_yaml::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn a_checkpoint_has_a_name_that_is_taken_back() {
    in_namespace(|| {
        let daemon = Daemon::start();
        let applied = printed(&daemon, &["apply", "-k", "--no-commit"], BRIDGE);
        let line = applied.lines().last().expect("a last line");
        let name = line.strip_prefix("# checkpoint: ").expect(&applied);
        assert_eq!(run(&daemon, &["rollback", "/io/nmstate/Daemon/checkpoint/99"], "").code, Some(1));
        assert_eq!(printed(&daemon, &["rollback", line], ""), format!("{line}\n"));
        assert!(!printed(&daemon, &["show"], "").contains("br7"));
        let again = printed(&daemon, &["apply", "--no-commit"], BRIDGE);
        let again =
            again.lines().last().and_then(|line| line.strip_prefix("# checkpoint: ")).expect("a name");
        assert_ne!(again, name);
        assert_eq!(printed(&daemon, &["commit", again], ""), format!("{again}\n"));
        daemon.assert_settled();
    });
}

#[test]
fn exit_codes_and_errors_are_those_of_that_name() {
    in_namespace(|| {
        let daemon = Daemon::start();
        let codes = [
            (&["apply", "--timeout", "soon"][..], BRIDGE, 65),
            (&["apply", "--no-such"], BRIDGE, 2),
            (&["apply"], "interfaces: 5", 1),
            (&["apply", "/no/such/file"], "", 1),
            (&["format"], "{", 1),
            (&["show", "no-such"], "", 0),
            (&["service", "-c", "/elsewhere"], "", 1),
            (&["autoconf"], "", 1),
        ];
        for (arguments, input, code) in codes {
            let ran = run(&daemon, arguments, input);
            assert_eq!(ran.code, Some(code), "{arguments:?}: {}{}", ran.out, ran.err);
        }
        assert_eq!(yaml(&printed(&daemon, &["show", "no-such"], ""))["interfaces"], serde_json::json!([]));
        let refused = run(&daemon, &["apply"], &BRIDGE.replace("mtu", "mtuu"));
        assert!(refused.err.contains("InvalidArgument: interfaces[0].mtuu: "), "{}", refused.err);
        assert_eq!(printed(&daemon, &["format"], "{}"), "interfaces: []\n");
        let valid = yaml(&printed(&daemon, &["validate"], BRIDGE));
        assert_eq!(valid["interfaces"][0]["name"], "br7");
        let revert = yaml(&printed(&daemon, &["gr", "-"], BRIDGE));
        assert_eq!(revert["interfaces"][0]["state"], "absent", "{revert}");
        let files = yaml(&printed(&daemon, &["gc", "-"], BRIDGE));
        assert_eq!(files["NetworkManager"][0][0], "br7.nmconnection", "{files}");
        daemon.assert_settled();
    });
}
