//! What a call asks, as polkit's rules and dialogues see it.

use std::collections::HashMap;

use crate::wire::TransactionId;

/// A call, as far as it concerns who may make it. Rules of polkit see the fields as details of the
/// action (`action.lookup("method")`, docs/service.md).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asks {
    /// The name of the method.
    pub method: &'static str,
    /// The transaction that it names.
    pub transaction: Option<TransactionId>,
}

impl Asks {
    /// What the person is told, where the message of the action itself is not as exact. `polkit`
    /// puts in the details (polkit reference manual, `polkit.message`).
    fn message(self) -> Option<&'static str> {
        match (self.method, self.transaction) {
            ("Cancel", Some(_)) => {
                Some("Authentication is required to cancel the change $(transaction) of the network")
            }
            ("Commit", None) => Some("Authentication is required to keep the change of the network"),
            ("Commit", Some(_)) => {
                Some("Authentication is required to keep the change $(transaction) of the network")
            }
            ("Rollback", None) => Some("Authentication is required to undo the change of the network"),
            ("Rollback", Some(_)) => {
                Some("Authentication is required to undo the change $(transaction) of the network")
            }
            ("Extend", _) => {
                Some("Authentication is required to postpone the undoing of a change of the network")
            }
            _ => None,
        }
    }

    /// The details of the question.
    pub(super) fn details(self) -> HashMap<&'static str, String> {
        let mut details = HashMap::from([("method", self.method.to_owned())]);
        details.extend(self.transaction.map(|id| ("transaction", id.to_string())));
        details.extend(self.message().map(|message| ("polkit.message", message.to_owned())));
        details
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_names_only_details_that_are_there() {
        for method in ["Apply", "Show", "Commit", "Rollback", "Extend", "Cancel"] {
            for transaction in [None, Some(7)] {
                let details = Asks { method, transaction }.details();
                assert_eq!(details["method"], method);
                assert_eq!(details.get("transaction").map(String::as_str), transaction.map(|_| "7"));
                let message = details.get("polkit.message").map_or("", String::as_str);
                let names: Vec<&str> =
                    message.split("$(").skip(1).filter_map(|rest| rest.split(')').next()).collect();
                assert!(names.iter().all(|name| details.contains_key(name)), "{message}");
            }
        }
    }
}
