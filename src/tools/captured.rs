//! What a policy has captured, as a file (schema 14): a mapping from each name to the state that was
//! captured, and when. Whoever gives such a file back need not capture again.

use serde_json::{Map, Value as Json, json};

use crate::policy::Captured;
use crate::state::{Document, Part, Path, Problem, Reader, State, nearest};

/// Of the form of the file.
const VERSION: &str = "0";

/// The file. `time` is now, as RFC 3339 says it.
pub fn to_json(captured: &Captured, time: &str) -> Json {
    let one = |state: &State| json!({"metaInfo": {"time": time, "version": VERSION}, "state": state});
    captured.0.iter().map(|(name, state)| (name.clone(), one(state))).collect::<Map<_, _>>().into()
}

/// Reads such a file; one without anything has captured nothing.
pub fn read(document: &Document) -> Result<Captured, Vec<Problem>> {
    let mut captured = Captured::default();
    if document.node().is_null() {
        return Ok(captured);
    }
    let mut reader = Reader::new();
    for entry in reader.entries(document.node()).unwrap_or_default() {
        reader.at_key(&entry.key, |reader| {
            let mut state = None;
            for part in reader.entries(&entry.value).unwrap_or_default() {
                reader.at_key(&part.key, |reader| match part.key.as_str() {
                    "state" => state = State::read(&part.value, reader),
                    "metaInfo" => {
                        for meta in reader.entries(&part.value).unwrap_or_default() {
                            if !["time", "version"].contains(&meta.key.as_str()) {
                                reader.report(unknown(&meta.key, reader.path().key(&meta.key)).at(meta.at));
                            }
                        }
                    }
                    key => reader.report(unknown(key, reader.path().clone()).at(part.at)),
                });
            }
            captured.0.insert(entry.key.clone(), state.unwrap_or_default());
        });
    }
    let (problems, _) = reader.finish();
    if problems.is_empty() { Ok(captured) } else { Err(problems) }
}

fn unknown(key: &str, path: Path) -> Problem {
    let mut problem = Problem::invalid(path, format!("unknown key `{key}`"));
    let known = ["state", "metaInfo", "time", "version"].into_iter();
    problem.hint = nearest(key, known).map(|near| format!("did you mean `{near}`?"));
    problem
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_nothing_else() {
        let text = "interfaces: [{name: eth1, type: ethernet, state: up}]";
        let state = Document::from_text(text).expect("YAML").state().expect("a state").0;
        let captured = Captured([("one".to_owned(), state)].into());
        let json = to_json(&captured, "2026-01-02T03:04:05Z");
        assert_eq!(json["one"]["metaInfo"], json!({"time": "2026-01-02T03:04:05Z", "version": "0"}));
        assert_eq!(read(&Document::from_json(&json)).expect("it is read"), captured);
        assert_eq!(read(&Document::from_text("").expect("YAML")).expect("nothing"), Captured::default());
        let wrong = "one: {state: {interfaces: []}, meta: 1, metaInfo: {tim: 1}}";
        let problems = read(&Document::from_text(wrong).expect("YAML")).expect_err("unknown keys");
        let texts: Vec<String> = problems.iter().map(|problem| problem.path.to_string()).collect();
        assert_eq!(texts, ["one.meta", "one.metaInfo.tim"]);
    }
}
