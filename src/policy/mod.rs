//! Policies: documents that take parts of the current state, and say by these what shall be. Pure.
//!
//! | file | story |
//! | --- | --- |
//! | `lex` | an expression as tokens |
//! | `expression` | what it means |
//! | `capture` | runs it |
//! | `template` | fills what was captured into what is desired |
//! | `tree` | walks in the tree of a document |

mod capture;
mod expression;
mod lex;
mod template;
#[cfg(test)]
mod tests;
mod tree;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use self::capture::Captures;
use self::expression::Expression;
use crate::state::{Entry, ErrorKind, Node, Part, Path, Position, Problem, Reader, State, Value, nearest};

/// What is wrong with an expression or a reference. `at`: the character, counted from 0.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Wrong {
    kind: ErrorKind,
    at: usize,
    message: String,
}

impl Wrong {
    fn policy(at: usize, message: impl Into<String>) -> Self {
        Self { kind: ErrorKind::PolicyError, at, message: message.into() }
    }

    fn invalid(at: usize, message: impl Into<String>) -> Self {
        Self { kind: ErrorKind::InvalidArgument, at, message: message.into() }
    }
}

/// A policy document.
#[derive(Clone, Debug)]
pub struct Policy {
    /// In the order written.
    captures: Vec<Capture>,
    /// A state document, with references in its texts.
    desired: Option<Node>,
    current: Option<State>,
}

#[derive(Clone, Debug)]
struct Capture {
    name: String,
    /// The expression as written.
    text: String,
    expression: Expression,
    at: Option<Position>,
}

/// The parts of a state that a policy has taken, by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Captured(pub std::collections::BTreeMap<String, State>);

/// As it was written, in canonical form.
impl Serialize for Policy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if !self.captures.is_empty() {
            let captures = self.captures.iter().map(|capture| (&capture.name, &capture.text));
            map.serialize_entry("capture", &Map(captures.collect()))?;
        }
        match &self.desired {
            Some(desired) => map.serialize_entry("desired", desired)?,
            None => map.serialize_entry("desired", &Map(Vec::new()))?,
        }
        if let Some(current) = &self.current {
            map.serialize_entry("current", current)?;
        }
        map.end()
    }
}

/// A mapping in the order given.
struct Map<'a>(Vec<(&'a String, &'a String)>);

impl Serialize for Map<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().copied())
    }
}

const KEYS: [&str; 4] = ["capture", "desired", "desiredState", "current"];

impl Policy {
    /// Whether a document is a policy, by the keys it has.
    pub fn is_policy(document: &Node) -> bool {
        matches!(&document.value, Value::Map(entries)
            if entries.iter().any(|entry| KEYS.contains(&entry.key.as_str())))
    }

    /// Reads a policy, and all that is wrong with it.
    pub fn read(document: &Node) -> Result<Self, Vec<Problem>> {
        let mut reader = Reader::new();
        let mut policy = Self { captures: Vec::new(), desired: None, current: None };
        for entry in reader.entries(document).unwrap_or_default() {
            match entry.key.as_str() {
                "capture" => reader.at_key("capture", |reader| policy.read_captures(&entry.value, reader)),
                "desired" | "desiredState" if policy.desired.is_none() => {
                    policy.desired = Some(entry.value.clone()).filter(|desired| !desired.is_null());
                }
                "current" => {
                    reader.at_key("current", |reader| policy.current = State::read(&entry.value, reader));
                }
                key => {
                    let path = Path::root().key(key);
                    let mut problem =
                        Problem::invalid(path, format!("unknown or repeated key `{key}`")).at(entry.at);
                    problem.hint =
                        nearest(key, KEYS.into_iter()).map(|near| format!("did you mean `{near}`?"));
                    reader.report(problem);
                }
            }
        }
        let (problems, _) = reader.finish();
        if problems.is_empty() { Ok(policy) } else { Err(problems) }
    }

    fn read_captures(&mut self, node: &Node, reader: &mut Reader) {
        if node.is_null() {
            return;
        }
        for Entry { key, value, .. } in reader.entries(node).unwrap_or_default() {
            reader.at_key(key, |reader| {
                let Value::Scalar { text, .. } = &value.value else {
                    reader.expected::<()>(value, "an expression");
                    return;
                };
                if self.captures.iter().any(|capture| capture.name == *key) {
                    reader.problem(value, format!("there are two captures `{key}`"));
                    return;
                }
                let text = if value.is_null() { "" } else { text.as_str() };
                let at = begin(value);
                match Expression::read(text) {
                    Ok(expression) => self.captures.push(Capture {
                        name: key.clone(),
                        text: text.to_owned(),
                        expression,
                        at,
                    }),
                    Err(wrong) => {
                        let problem = place(&wrong, reader.path(), at, text);
                        reader.report(problem);
                    }
                }
            });
        }
    }

    /// The state that it brings along, to be used in the place of the network's.
    pub fn current(&self) -> Option<&State> {
        self.current.as_ref()
    }

    /// The policy that brings this state along.
    pub fn on(self, current: State) -> Self {
        Self { current: Some(current), ..self }
    }

    /// Whether it can only be evaluated with a state to look at.
    pub fn has_captures(&self) -> bool {
        !self.captures.is_empty()
    }

    /// Runs the captures on a state, in an order in which each has what it needs.
    pub fn capture(&self, current: &State) -> Result<Captured, Vec<Problem>> {
        let current = tree_of(current);
        let named: Vec<(&str, &Expression)> =
            self.captures.iter().map(|capture| (capture.name.as_str(), &capture.expression)).collect();
        let order =
            capture::order(&named).map_err(|(index, wrong)| vec![self.captures[index].problem(&wrong)])?;
        let mut captures = Captures::new();
        let mut states = Captured::default();
        for index in order {
            let capture = &self.captures[index];
            let found = capture.expression.run(&current, &captures);
            let found = found.map_err(|wrong| vec![capture.problem(&wrong)])?;
            // What was set may not be what a document can say.
            let mut reader = Reader::starting_at(capture.path());
            let state = State::read(&found, &mut reader);
            let (problems, _) = reader.finish();
            match state.filter(|_| problems.is_empty()) {
                Some(state) => states.0.insert(capture.name.clone(), state),
                None => {
                    let at = |problem: Problem| Problem { at: capture.at, ..problem };
                    return Err(problems.into_iter().map(at).collect());
                }
            };
            captures.insert(capture.name.clone(), found);
        }
        Ok(states)
    }

    /// Gives problems that know only their path in the filled state their place in the policy.
    pub fn place(&self, problems: Vec<Problem>) -> Vec<Problem> {
        let place = |problem: Problem| {
            let at = problem.at.or_else(|| self.desired.as_ref()?.locate(&problem.path));
            Problem { path: problem.path.below("desired"), at, ..problem }
        };
        problems.into_iter().map(place).collect()
    }

    /// The desired state, with what was captured in it, and warnings.
    pub fn fill(&self, captured: &Captured) -> Result<(State, Vec<Problem>), Vec<Problem>> {
        let Some(desired) = &self.desired else { return Ok((State::default(), Vec::new())) };
        let captures = captured.0.iter().map(|(name, state)| (name.clone(), tree_of(state))).collect();
        let at = Path::root().key("desired");
        let filled = template::fill(desired, &captures, &at).map_err(|wrong| {
            let problem = |text: template::WrongText| place(&text.wrong, &text.path, text.at, "");
            wrong.into_iter().map(problem).collect::<Vec<_>>()
        })?;
        let mut reader = Reader::starting_at(at);
        let state = State::read(&filled, &mut reader);
        let (problems, warnings) = reader.finish();
        match state {
            Some(state) if problems.is_empty() => Ok((state, warnings)),
            _ => Err(problems),
        }
    }
}

impl Capture {
    fn path(&self) -> Path {
        Path::root().key("capture").key(&self.name)
    }

    fn problem(&self, wrong: &Wrong) -> Problem {
        place(wrong, &self.path(), self.at, &self.text)
    }
}

/// Where the text of a scalar begins: behind its quote, if it has one.
fn begin(node: &Node) -> Option<Position> {
    let quote = u32::from(matches!(node.value, Value::Scalar { plain: false, .. }));
    node.at.map(|at| Position { column: at.column.saturating_add(quote), ..at })
}

fn tree_of(state: &State) -> Node {
    Node::from_json(&serde_json::to_value(state).expect("a state prints as JSON: its keys are text"))
}

/// The problem, at the character of an expression that begins at `begin`. Its text is shown with a mark.
fn place(wrong: &Wrong, path: &Path, begin: Option<Position>, text: &str) -> Problem {
    let Wrong { kind, at, message } = wrong;
    let column = u32::try_from(*at).unwrap_or(u32::MAX);
    let position = begin.map(|begin| Position { column: begin.column.saturating_add(column), ..begin });
    let mut problem = Problem::new(*kind, path.clone(), message.clone()).at(position);
    if !text.is_empty() {
        problem.hint = Some(format!("at character {} of `{text}`", at + 1));
    }
    problem
}
