//! Transactions, events and the daemon's condition as text for people.

use std::fmt::Write;

use crate::wire::{DocumentInfo, DriftInfo, DriftItem, ErrorInfo, Event, Stage, StatusInfo, TransactionInfo};

/// One line: where a transaction is.
pub fn step(transaction: &TransactionInfo) -> String {
    let mut line = format!("transaction {}: {}", transaction.id, transaction.stage.name());
    if let Some(progress) = &transaction.progress {
        let _ = write!(line, " {}/{}: ", progress.n, progress.of);
        if let Some(interface) = &progress.interface {
            let _ = write!(line, "{interface}: ");
        }
        line += &progress.text;
    }
    if let Some(seconds) = transaction.seconds_left {
        let _ = write!(line, ", {seconds} s left");
    }
    line
}

/// How a transaction that needs nothing more from this command stands.
pub fn outcome(transaction: &TransactionInfo) -> String {
    let id = transaction.id;
    match transaction.stage {
        Stage::Unchanged => "nothing to change: the network is as asked".to_owned(),
        Stage::AwaitingCommit => {
            let deadline = transaction.seconds_left.map_or(String::new(), |s| format!(" in {s} s"));
            format!(
                "transaction {id} awaits commit: it is rolled back{deadline} unless `nmctl commit {id}` keeps it"
            )
        }
        stage => format!("transaction {id} {}", stage.name().replace('-', " ")),
    }
}

/// A table of transactions.
pub fn table(transactions: &[TransactionInfo]) -> String {
    let mut rows = vec![["ID", "CREATED", "OWNER", "STAGE", "DETAIL"].map(str::to_owned)];
    for transaction in transactions {
        let detail = match (&transaction.error, transaction.seconds_left, &transaction.progress) {
            (Some(error), ..) => format!("{}: {}", error.kind, error.message),
            (None, Some(seconds), _) => format!("rolled back in {seconds} s unless committed"),
            (None, None, Some(progress)) => format!("{}/{} {}", progress.n, progress.of, progress.text),
            (None, None, None) => String::new(),
        };
        let owner = format!("uid {} ({})", transaction.owner.uid, transaction.owner.via);
        let stage = transaction.stage.name().to_owned();
        rows.push([transaction.id.to_string(), time(transaction.created), owner, stage, detail]);
    }
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; 5] = std::array::from_fn(width);
    let mut text = String::new();
    for row in &rows {
        let cells: Vec<String> =
            row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        let _ = writeln!(text, "{}", cells.join("  ").trim_end());
    }
    text
}

/// Everything about one transaction, without its difference.
pub fn full(transaction: &TransactionInfo) -> String {
    let mut text = format!("transaction {}: {}\n", transaction.id, transaction.stage.name());
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(text, "{name:10} {value}");
    };
    let owner = &transaction.owner;
    let pid = owner.pid.map_or(String::new(), |pid| format!(", process {pid}"));
    line("owner", &format!("uid {}{pid}, by {}", owner.uid, owner.via));
    line("created", &time(transaction.created));
    if let Some(ended) = transaction.ended {
        line("ended", &time(ended));
    }
    if let Some(progress) = &transaction.progress {
        line("step", &format!("{} of {}: {}", progress.n, progress.of, progress.text));
    }
    if let Some(seconds) = transaction.seconds_left {
        line("deadline", &format!("rolled back in {seconds} s unless committed"));
    }
    for error in transaction.error.iter().flat_map(|error| std::iter::once(error).chain(&error.more)) {
        let place = if error.path.is_empty() { String::new() } else { format!("{}: ", error.path) };
        line("error", &format!("{}: {place}{}", error.kind, error.message));
    }
    transaction.warnings.iter().for_each(|warning| line("warning", warning));
    transaction.unrestored.iter().for_each(|item| line("unrestored", item));
    text
}

/// The daemon at a glance.
pub fn status(status: &StatusInfo) -> String {
    let mut text = format!("nmstated {}\n", status.version);
    let _ = writeln!(text, "backend    {} ({})", status.backend, status.backend_reason);
    let _ = writeln!(text, "revision   {}", status.revision);
    let _ = writeln!(text, "queued     {}", status.queued);
    if !status.safety_nets.is_empty() {
        let _ = writeln!(text, "nets       {}", status.safety_nets.join(", "));
    }
    if let Some(summary) = status.drift.and_then(|drift| drift_summary(drift.count, Some(drift.since))) {
        let _ = writeln!(text, "drift      {summary} (see `nmctl drift`)");
    }
    status.transactions.iter().for_each(|transaction| {
        let _ = writeln!(text, "{}", step(transaction));
    });
    status.boot_documents.iter().for_each(|info| {
        let _ = writeln!(text, "document   {}", document(info));
    });
    status.alerts.iter().for_each(|alert| {
        let _ = writeln!(text, "alert      {alert}");
    });
    text
}

/// One line: how a boot document stands.
fn document(info: &DocumentInfo) -> String {
    let mut line = format!("{}: {}", info.file, info.outcome.name());
    if let Some(id) = info.transaction {
        let _ = write!(line, " (transaction {id})");
    }
    if let Some(error) = &info.error {
        if let (Some(at), Some(column)) = (error.line, error.column) {
            let _ = write!(line, " at line {at}, column {column}");
        }
        let _ = write!(line, ": {}: {}", error.kind, error.message);
    }
    line
}

/// How the network differs from what is committed, one line for each field.
pub fn drift(drift: &DriftInfo) -> String {
    let mut text = String::new();
    for DriftItem { path, expected, found, .. } in &drift.items {
        let word = |word: &Option<String>| word.clone().unwrap_or_else(|| "nothing".into());
        let _ = writeln!(text, "{path}: asked {}, found {}", word(expected), word(found));
    }
    for ErrorInfo { kind, message, path, .. } in &drift.problems {
        let place = if path.is_empty() { String::new() } else { format!("{path}: ") };
        let _ = writeln!(text, "{place}cannot be had now: {kind}: {message}");
    }
    let told = drift.items.len() + drift.problems.len();
    let others = usize::try_from(drift.count).unwrap_or(usize::MAX).saturating_sub(told);
    if others > 0 {
        let _ = writeln!(text, "... and {others} more");
    }
    text
}

/// How much differs, and since when; None: nothing.
pub fn drift_summary(count: u64, since: Option<u64>) -> Option<String> {
    let since = since.map_or(String::new(), |since| format!(" since {}", time(since)));
    match count {
        0 => None,
        1 => Some(format!("1 field{since}")),
        _ => Some(format!("{count} fields{since}")),
    }
}

fn drift_event(info: &DriftInfo) -> String {
    match drift_summary(info.count, info.since) {
        None => "drift: none".into(),
        Some(summary) => format!("drift: {summary}\n{}", drift(info)).trim_end().replace('\n', "\n  "),
    }
}

/// One line: what happened; after drift, a line for each field.
pub fn event(event: &Event) -> String {
    match event {
        Event::Transaction { transaction } => step(transaction),
        Event::Drift { drift } => drift_event(drift),
        Event::Network { revision } => format!("network: revision {revision}"),
        Event::Lost { count } => format!("lost {count} events: this reader is too slow"),
    }
}

/// Seconds since 1970 as date and time in UTC (RFC 3339).
pub(super) fn time(seconds: u64) -> String {
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Days are counted in eras of 400 years, which all have the same length, from 1 March of year 0,
    // so that a leap day is the last of its year.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Owner, ProgressInfo};

    fn transaction(stage: Stage) -> TransactionInfo {
        TransactionInfo {
            id: 7,
            owner: Owner { uid: 0, pid: Some(12), via: "varlink".into() },
            stage,
            created: 951_782_399,
            ended: None,
            progress: None,
            seconds_left: None,
            error: None,
            unrestored: Vec::new(),
            warnings: Vec::new(),
            diff: String::new(),
            client_path: None,
        }
    }

    #[test]
    fn dates_are_those_of_date_1() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_251_199, "2024-02-29T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(time(seconds), expected);
        }
    }

    #[test]
    fn stages_have_the_words_of_the_wire() {
        for n in
            [Stage::Queued, Stage::AwaitingCommit, Stage::RollingBack, Stage::RolledBack, Stage::Cancelled]
        {
            assert_eq!(serde_json::to_value(n).expect("a stage is a word"), n.name());
        }
    }

    #[test]
    fn a_step_and_a_table_tell_where_a_transaction_is() {
        let progress = ProgressInfo { n: 2, of: 5, interface: Some("eth1".into()), text: "set mtu".into() };
        let applying = TransactionInfo { progress: Some(progress), ..transaction(Stage::Applying) };
        assert_eq!(step(&applying), "transaction 7: applying 2/5: eth1: set mtu");
        assert_eq!(
            table(&[applying]),
            "ID  CREATED               OWNER            STAGE     DETAIL\n\
             7   2000-02-28T23:59:59Z  uid 0 (varlink)  applying  2/5 set mtu\n"
        );
    }

    #[test]
    fn an_uncommitted_change_says_how_to_keep_it() {
        let awaiting = TransactionInfo { seconds_left: Some(60), ..transaction(Stage::AwaitingCommit) };
        assert_eq!(
            outcome(&awaiting),
            "transaction 7 awaits commit: it is rolled back in 60 s unless `nmctl commit 7` keeps it"
        );
    }
}
