//! What `nmctl` answers under the name `nmstatectl`, beside what nmstatectl 2.2.62 answers to the same: parsed, not as
//! text. What differs has its row, with a reason, in docs/compatibility.md; a difference without a row fails, and so
//! does a row that nothing needs any more.
//!
//! The answers of nmstatectl to what needs no daemon are in `recorded/`, which `tests/compatibility/record` writes from
//! runs of it. What asks a running system is compared in the lab, both side by side (`tests/lab/cases-peer`): then the
//! first argument says what, and the second is the path of nmstatectl.
//!
//! ```text
//! (none)                 what needs no daemon, with what is recorded
//! record PEER            writes that
//! live PEER              what asks the system
//! shown PEER NAME...     what is shown of it, and of these interfaces
//! ```

mod answer;
mod compare;
mod inputs;
mod page;
mod recorded;

use std::collections::BTreeSet;
use std::env;
use std::io::{Write, stdout};
use std::path::Path;
use std::time::{Duration, Instant};

use answer::{Answer, Tool};
use compare::differences;
use inputs::{Case, LIVE, OFFLINE, SHOWN};
use page::Page;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// What takes longer is told.
const SLOW: Duration = Duration::from_secs(2);

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> =
        arguments.iter().map(String::as_str).filter(|word| !word.starts_with('-')).collect();
    match words[..] {
        ["record", peer] => {
            let cases = inputs::cases(OFFLINE);
            recorded::write(&cases, &answer::all(&Tool::peer(peer), &cases));
        }
        ["live", peer] => side_by_side(peer, &inputs::cases(LIVE), LIVE),
        ["shown", peer, ref names @ ..] => side_by_side(peer, &inputs::shown(names), SHOWN),
        // A filter of `cargo test`.
        [filter, ..] if !"compatibility".contains(filter) => {}
        _ => {
            page::patterns_match();
            there_are_enough();
            as_recorded();
        }
    }
}

/// What needs no daemon.
fn as_recorded() {
    let page = Page::read();
    let mut verdict = Verdict::new(&page);
    let recorded = recorded::read();
    let cases = inputs::cases(OFFLINE);
    let known: BTreeSet<_> = recorded.keys().cloned().collect();
    let wanted: BTreeSet<_> = cases.iter().map(Case::key).collect();
    assert_eq!(known, wanted, "tests/compatibility/record writes what the peer answers");
    let ours = answer::all(&Tool::ours(), &cases);
    for (case, ours) in cases.iter().zip(&ours) {
        verdict.take(case, &recorded[&case.key()], ours);
    }
    verdict.end(OFFLINE);
}

/// What needs the system, one after the other, so that both see the same.
fn side_by_side(peer: &str, cases: &[Case], commands: &[inputs::Command]) {
    let page = Page::read();
    let mut verdict = Verdict::new(&page);
    let (peer, ours) = (Tool::peer(peer), Tool::ours_live());
    for case in cases {
        let began = Instant::now();
        let theirs = peer.answer(case);
        let between = Instant::now();
        let own = ours.answer(case);
        let (slow, longer) = (between - began, between.elapsed());
        if slow.max(longer) > SLOW {
            tell(&format!(
                "{} {}: theirs after {slow:.1?}, ours after {longer:.1?}",
                case.command.name, case.document
            ));
        }
        verdict.take(case, &theirs, &own);
    }
    verdict.end(commands);
}

/// Enough of each kind to say something: 60 documents, 20 policies, 60 that are wrong.
fn there_are_enough() {
    let count = |kind: &str| inputs::documents(kind).len();
    let (documents, policies) = (count("documents"), count("policies"));
    let bad = count("bad") + count("bad-policies");
    tell(&format!("{documents} documents, {policies} policies, {bad} bad ones"));
    assert!(documents >= 60 && policies >= 20 && bad >= 60);
}

fn tell(line: &str) {
    writeln!(stdout(), "{line}").expect("standard output is there");
}

/// Where the answers differ and no row of the page says so; the rows that did.
struct Verdict<'a> {
    page: &'a Page,
    used: BTreeSet<usize>,
    unlisted: Vec<String>,
    equal: usize,
    listed: usize,
}

impl<'a> Verdict<'a> {
    fn new(page: &'a Page) -> Self {
        Self { page, used: BTreeSet::new(), unlisted: Vec::new(), equal: 0, listed: 0 }
    }

    fn take(&mut self, case: &Case, peer: &Answer, ours: &Answer) {
        let found = differences(case.command.name, peer, ours);
        let equal = found.is_empty();
        let before = self.unlisted.len();
        for difference in found {
            let rows = self.page.rows(case.command.name, &case.document, &difference.place);
            if rows.is_empty() {
                self.unlisted.push(format!("{} {}: {difference}", case.command.name, case.document));
            }
            self.used.extend(rows);
        }
        self.equal += usize::from(equal);
        self.listed += usize::from(!equal && self.unlisted.len() == before);
    }

    /// Fails with all that is wrong. The rows of these commands must be of use.
    fn end(self, commands: &[inputs::Command]) {
        let commands: Vec<_> = commands.iter().map(|command| command.name).collect();
        let idle = self.page.idle(&commands, &self.used);
        tell(&format!("{} answers are equal, {} differ as listed", self.equal, self.listed));
        assert!(
            self.unlisted.is_empty() && idle.is_empty(),
            "{} differences that docs/compatibility.md does not list:\n{}\nrows of it that nothing needs:\n{}",
            self.unlisted.len(),
            self.unlisted.join("\n"),
            idle.join("\n")
        );
    }
}
