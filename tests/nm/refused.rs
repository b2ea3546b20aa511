//! NetworkManager answers an error half-way, to each call in its turn: everything is as it was before.

use nmstated::engine::Request;
use nmstated::wire::{Stage, TransactionInfo};

use crate::backend::{Host, pretty};
use crate::engine::{DOCUMENT, Engine, larger_site};
use crate::harness::{Harness, with_manager};
use crate::refuser::{Refuser, WORDS};

struct Site {
    host: Host,
    engine: Engine,
    refuser: Refuser,
}

impl Site {
    async fn on(harness: Harness) -> Self {
        larger_site(&harness);
        let (refuser, address) = Refuser::before(&harness.address, harness.folder.path());
        let client = harness.client_at(&address).await;
        let host = Host::with(harness, client).await;
        let engine = Engine::on(&host).await;
        Self { host, engine, refuser }
    }

    /// What is shown, all of every profile and where it is stored, and the files.
    async fn all(&self) -> String {
        let nmcli = |words: &[&str]| self.host.harness.nmcli(words);
        let mut all = self.host.shown().await;
        let mut list: Vec<String> =
            nmcli(&["-f", "uuid,name,type,autoconnect,active,device,filename", "connection", "show"])
                .lines()
                .map(str::to_owned)
                .collect();
        list.sort_unstable();
        all += &list.join("\n");
        let uuids = nmcli(&["-t", "-f", "uuid", "connection", "show"]);
        let mut uuids: Vec<&str> = uuids.lines().collect();
        uuids.sort_unstable();
        for uuid in uuids {
            let profile = nmcli(&["--show-secrets", "-f", "profile", "connection", "show", uuid]);
            // When it was last used.
            all.extend(
                profile.split_inclusive('\n').filter(|line| !line.starts_with("connection.timestamp")),
            );
        }
        all + &format!("{:#?}", self.host.files())
    }

    /// Nothing of it is left, and the client is told what NetworkManager said.
    #[track_caller]
    fn was_undone(&self, info: &TransactionInfo, what: &str) {
        let log = || format!("{what}\n{:?}\n{info:#?}\n{}", self.refuser.calls(), self.host.harness.log());
        assert_eq!(info.stage, Stage::RolledBack, "{}", log());
        assert_eq!(info.unrestored, Vec::<String>::new(), "{}", log());
    }
}

fn refused(info: &TransactionInfo) -> bool {
    format!("{:?}", info.error).contains(WORDS)
}

#[test]
fn an_error_to_any_call_of_an_apply_leaves_nothing_of_it() {
    with_manager(|harness| async {
        let site = Site::on(harness).await;
        let before = site.all().await;
        for n in 1.. {
            site.refuser.refuse(Some(n));
            let info = site.engine.submit(DOCUMENT, false).await;
            let calls = site.refuser.calls();
            if calls.len() < n {
                // All of them were refused once.
                assert_eq!(info.stage, Stage::AwaitingCommit, "{info:#?}");
                assert!(n > 8, "{calls:?}");
                return;
            }
            site.was_undone(&info, &format!("call {n} of an apply"));
            assert!(refused(&info), "{n} {calls:?}: {info:#?}");
            pretty(&before, &site.all().await);
        }
    });
}

#[test]
fn an_error_to_any_call_of_a_rollback_does_not_stop_it() {
    with_manager(|harness| async {
        let site = Site::on(harness).await;
        let before = site.all().await;
        for n in 1.. {
            let info = site.engine.submit(DOCUMENT, false).await;
            assert_eq!(info.stage, Stage::AwaitingCommit, "{info:#?}");
            site.refuser.refuse(Some(n));
            let info = site.engine.call(Request::Rollback { id: None }).await;
            site.was_undone(&info, &format!("call {n} of a rollback"));
            pretty(&before, &site.all().await);
            if site.refuser.calls().len() < n {
                return;
            }
        }
    });
}

#[test]
fn an_error_to_any_call_of_a_commit_leaves_nothing_of_it() {
    with_manager(|harness| async {
        let site = Site::on(harness).await;
        let before = site.all().await;
        for n in 1.. {
            let info = site.engine.submit(DOCUMENT, false).await;
            assert_eq!(info.stage, Stage::AwaitingCommit, "{info:#?}");
            site.refuser.refuse(Some(n));
            let info = site.engine.call(Request::Commit { id: None }).await;
            let calls = site.refuser.calls();
            if calls.len() < n {
                assert_eq!(info.stage, Stage::Committed, "{info:#?}");
                assert!(n > 3, "{calls:?}");
                let again = site.engine.submit(DOCUMENT, true).await;
                assert_eq!(again.stage, Stage::Unchanged, "{again:#?}");
                let files = site.host.files();
                assert!(files.keys().all(|path| path.starts_with("/etc/")), "{files:#?}");
                return;
            }
            site.was_undone(&info, &format!("call {n} of a commit"));
            assert!(refused(&info), "{n} {calls:?}: {info:#?}");
            pretty(&before, &site.all().await);
        }
    });
}
