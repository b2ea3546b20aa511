//! The types of the wire as dictionaries of the bus, and options back. What is not there has no
//! entry. Documents and parts of documents are JSON text.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Value as Json};
use zbus::{OwnedVariant, Variant};

use super::BusError;
use crate::api::failure::stage_name;
use crate::state::ErrorKind;
use crate::wire::{
    ClientPath, DocumentInfo, DriftInfo, DriftItem, DriftStatus, ErrorInfo, Owner, PlanInfo, ProgressInfo,
    StatusInfo, TransactionInfo,
};

/// `a{sv}`.
pub(super) type Dict = BTreeMap<&'static str, Variant<'static>>;

/// Options as a client sent them.
pub(super) type Options = HashMap<String, OwnedVariant>;

/// Text as the bus can carry it: without zero characters.
pub(super) fn text(text: String) -> String {
    if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text }
}

fn texts(texts: Vec<String>) -> Variant<'static> {
    texts.into_iter().map(text).collect::<Vec<_>>().into()
}

/// Puts in what is there.
fn put<T: Into<Variant<'static>>>(dict: &mut Dict, key: &'static str, value: Option<T>) {
    if let Some(value) = value {
        dict.insert(key, value.into());
    }
}

pub(super) fn owner(owner: Owner) -> Dict {
    let Owner { uid, pid, via } = owner;
    let mut dict = Dict::from([("uid", uid.into()), ("via", text(via).into())]);
    put(&mut dict, "pid", pid);
    dict
}

pub(super) fn error(info: ErrorInfo) -> Dict {
    let ErrorInfo { kind, message, path, line, column, interface, hint, more } = info;
    let mut dict = Dict::from([("kind", kind.into()), ("message", text(message).into())]);
    put(&mut dict, "path", Some(text(path)).filter(|path| !path.is_empty()));
    put(&mut dict, "line", line);
    put(&mut dict, "column", column);
    put(&mut dict, "interface", interface.map(text));
    put(&mut dict, "hint", hint.map(text));
    let more: Vec<Dict> = more.into_iter().map(error).collect();
    put(&mut dict, "more", Some(more).filter(|more| !more.is_empty()));
    dict
}

pub(super) fn progress(info: ProgressInfo) -> Dict {
    let ProgressInfo { n, of, interface, text: what } = info;
    let mut dict = Dict::from([("n", n.into()), ("of", of.into()), ("text", text(what).into())]);
    put(&mut dict, "interface", interface.map(text));
    dict
}

pub(super) fn transaction(info: TransactionInfo) -> Dict {
    let TransactionInfo {
        id,
        owner: by,
        stage,
        created,
        ended,
        progress: step,
        seconds_left,
        error: why,
        unrestored,
        warnings,
        diff,
        client_path,
    } = info;
    let mut dict = Dict::from([
        ("id", id.into()),
        ("owner", owner(by).into()),
        ("stage", stage_name(stage).into()),
        ("created", created.into()),
        ("diff", text(diff).into()),
    ]);
    put(&mut dict, "ended", ended);
    put(&mut dict, "progress", step.map(progress));
    put(&mut dict, "seconds_left", seconds_left);
    put(&mut dict, "error", why.map(error));
    put(&mut dict, "unrestored", (!unrestored.is_empty()).then(|| texts(unrestored)));
    put(&mut dict, "warnings", (!warnings.is_empty()).then(|| texts(warnings)));
    put(&mut dict, "client_path", client_path.map(path));
    dict
}

fn path(path: ClientPath) -> Dict {
    let ClientPath { interface, reasons } = path;
    Dict::from([("interface", text(interface).into()), ("reasons", texts(reasons))])
}

pub(super) fn plan(info: PlanInfo) -> Dict {
    let PlanInfo { changes, diff, warnings, client_path } = info;
    let mut dict = Dict::from([
        ("changes", texts(changes.iter().map(ToString::to_string).collect())),
        ("diff", text(diff).into()),
        ("warnings", texts(warnings)),
    ]);
    put(&mut dict, "client_path", client_path.map(path));
    dict
}

pub(super) fn status(info: StatusInfo) -> Dict {
    let StatusInfo {
        version,
        backend,
        backend_reason,
        interface_types,
        revision,
        queued,
        transactions,
        safety_nets,
        alerts,
        boot_documents,
        drift,
    } = info;
    let transactions: Vec<Dict> = transactions.into_iter().map(transaction).collect();
    let drift = drift
        .map(|DriftStatus { count, since }| Dict::from([("count", count.into()), ("since", since.into())]));
    let mut dict = Dict::from([
        ("version", version.into()),
        ("backend", backend.into()),
        ("backend_reason", text(backend_reason).into()),
        ("interface_types", texts(interface_types)),
        ("revision", revision.into()),
        ("queued", queued.into()),
        ("transactions", transactions.into()),
        ("safety_nets", texts(safety_nets)),
        ("alerts", texts(alerts)),
        ("boot_documents", boot_documents.into_iter().map(document).collect::<Vec<Dict>>().into()),
    ]);
    put(&mut dict, "drift", drift);
    dict
}

pub(super) fn drift(info: DriftInfo) -> Dict {
    let DriftInfo { since, count, items, problems, diff } = info;
    let items: Vec<Dict> = items.into_iter().map(drift_item).collect();
    let problems: Vec<Dict> = problems.into_iter().map(error).collect();
    let mut dict =
        Dict::from([("count", count.into()), ("items", items.into()), ("diff", text(diff).into())]);
    put(&mut dict, "since", since);
    put(&mut dict, "problems", Some(problems).filter(|problems| !problems.is_empty()));
    dict
}

fn drift_item(item: DriftItem) -> Dict {
    let DriftItem { subject, path, expected, found } = item;
    let mut dict = Dict::from([("subject", text(subject).into()), ("path", text(path).into())]);
    put(&mut dict, "expected", expected.map(text));
    put(&mut dict, "found", found.map(text));
    dict
}

fn document(info: DocumentInfo) -> Dict {
    let DocumentInfo { file, outcome, error: why, transaction } = info;
    let mut dict = Dict::from([("file", text(file).into()), ("outcome", outcome.name().into())]);
    put(&mut dict, "error", why.map(error));
    put(&mut dict, "transaction", transaction);
    dict
}

/// Options as JSON; all of them are truth values, numbers, text or lists of text.
pub(super) fn options(options: Options) -> Result<Json, BusError> {
    let mut out = Map::new();
    for (name, value) in options {
        let Some(value) = option(&value) else {
            let message = format!("option {name}: expected a truth value, a number, text or a list of texts");
            return Err(BusError::new(ErrorKind::InvalidArgument, &message));
        };
        out.insert(name, value);
    }
    Ok(out.into())
}

fn option(value: &Variant<'_>) -> Option<Json> {
    let text = |value: &Variant<'_>| match value {
        Variant::Str(text) => Some(Json::from(text.as_str())),
        _ => None,
    };
    Some(match value {
        Variant::Bool(value) => (*value).into(),
        Variant::U8(value) => (*value).into(),
        Variant::U16(value) => (*value).into(),
        Variant::U32(value) => (*value).into(),
        Variant::U64(value) => (*value).into(),
        Variant::I16(value) => (*value).into(),
        Variant::I32(value) => (*value).into(),
        Variant::I64(value) => (*value).into(),
        Variant::Str(_) => text(value)?,
        Variant::Array(values) => values.iter().map(text).collect::<Option<Vec<Json>>>()?.into(),
        _ => return None,
    })
}
