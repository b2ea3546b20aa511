//! A document as a client sent it: text or JSON, with the tree kept for positions.

use std::fmt;
use std::sync::OnceLock;

use serde_json::Value as Json;

use super::secret::{SECRET_KEYS, Secrets};
use super::{
    FieldInfo, Node, Part, Path, Position, Problem, Reader, Segment, Shape, State, Value, kept_interfaces,
    text,
};

/// A document as a client sent it.
#[derive(Clone)]
pub struct Document {
    node: Node,
    text: String,
    /// Looked for when the first snippet is made.
    secrets: OnceLock<Secrets>,
}

impl Document {
    /// Reads YAML or JSON. Non-breaking spaces, which copying from web pages leaves behind, count
    /// as spaces.
    pub fn from_text(text: &str) -> Result<Self, Vec<Problem>> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text).replace('\u{a0}', " ");
        match text::parse(&text) {
            Ok(node) => Ok(Self { node, text, secrets: OnceLock::new() }),
            Err(problem) => Err(vec![problem]),
        }
    }

    /// A document that is a value already; its problems have no positions.
    pub fn from_json(json: &Json) -> Self {
        Self { node: Node::from_json(json), text: String::new(), secrets: OnceLock::new() }
    }

    /// The tree.
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// The state it describes, with warnings; or everything that is wrong with it, in the order
    /// of the text.
    pub fn state(&self) -> Result<(State, Vec<Problem>), Vec<Problem>> {
        let mut reader = Reader::new();
        let state = State::read(&self.node, &mut reader);
        let (problems, warnings) = reader.finish();
        match state {
            Some(state) if problems.is_empty() => Ok((state, in_order(warnings))),
            _ => Err(in_order(problems.into_iter().map(|problem| self.named(problem)).collect())),
        }
    }

    /// Gives problems that know only their path in the state their place in this document.
    pub fn place(&self, problems: Vec<Problem>) -> Vec<Problem> {
        let kept = self.node.get("interfaces").map(kept_interfaces).unwrap_or_default();
        let placed = problems.into_iter().map(|problem| {
            let path = in_document(&problem.path, &kept);
            let at = problem.at.or_else(|| self.node.locate(&as_written(&path, &self.node)));
            let interface = problem.interface.or_else(|| self.interface_at(&path));
            Problem { path, interface, at, ..problem }
        });
        in_order(placed.collect())
    }

    /// A problem that tells which interface it concerns.
    fn named(&self, problem: Problem) -> Problem {
        let interface = self.interface_at(&problem.path);
        Problem { interface, ..problem }
    }

    /// The name of the interface that a path leads into.
    fn interface_at(&self, path: &Path) -> Option<String> {
        let [Segment::Key(key), Segment::Index(index), ..] = path.segments() else { return None };
        match &self.node.get("interfaces").filter(|_| key == "interfaces")?.value {
            Value::List(interfaces) => interfaces.get(*index)?.get("name")?.text().map(str::to_owned),
            _ => None,
        }
    }

    /// A problem as a compiler shows it: message, place, the line with a mark, hint. `file` names
    /// the document.
    pub fn snippet(&self, problem: &Problem, file: &str) -> String {
        let secrets = self.secrets.get_or_init(|| Secrets::of(&self.node));
        render(&self.text, problem, file, |number, line| secrets.are_in(number, line))
    }
}

/// Without the text, which may hold secrets.
impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Document({} bytes)", self.text.len())
    }
}

/// [`Document::snippet`] for a text that is no document. Where its secrets stand cannot be known, so
/// if it may hold some, no line is shown.
pub fn snippet_of_text(text: &str, problem: &Problem, file: &str) -> String {
    let lower = text.to_lowercase();
    let may_hold_secrets = SECRET_KEYS.into_iter().any(|key| lower.contains(key));
    render(text, problem, file, |_, _| may_hold_secrets)
}

fn in_order(mut problems: Vec<Problem>) -> Vec<Problem> {
    problems.sort_by_key(|problem| problem.at);
    problems
}

/// The path in the document of a path in the state, which lacks the interfaces that later ones
/// of the same name replaced.
fn in_document(path: &Path, kept: &[usize]) -> Path {
    match path.segments() {
        [Segment::Key(key), Segment::Index(index), rest @ ..] if key == "interfaces" => {
            let start = Path::interface(kept.get(*index).copied().unwrap_or(*index));
            rest.iter().fold(start, |path, segment| match segment {
                Segment::Key(key) => path.key(key),
                Segment::Index(index) => path.index(*index),
            })
        }
        _ => path.clone(),
    }
}

/// The path with every key in the spelling that the document uses.
fn as_written(path: &Path, root: &Node) -> Path {
    let mut shapes = vec![State::shape()];
    let mut node = Some(root);
    let mut written = Path::root();
    for segment in path.segments() {
        match segment {
            Segment::Index(index) => {
                written.push_index(*index);
                node = match node.map(|node| &node.value) {
                    Some(Value::List(items)) => items.get(*index),
                    _ => None,
                };
            }
            Segment::Key(key) => {
                let fields: Vec<&FieldInfo> = shapes
                    .iter()
                    .flat_map(Shape::sections)
                    .flat_map(|info| info.fields)
                    .filter(|field| field.key == key)
                    .collect();
                let mut names = fields.iter().flat_map(|field| field.names());
                let used = names.find(|name| node.is_some_and(|node| node.get(name).is_some()));
                let name = used.unwrap_or(key);
                written.push_key(name);
                node = node.and_then(|node| node.get(name));
                shapes = fields.iter().map(|field| (field.shape)()).collect();
            }
        }
    }
    written
}

/// Widest line shown whole; of a longer one only the part around the mark is shown.
const WIDTH_MAX: usize = 100;

fn render(text: &str, problem: &Problem, file: &str, is_secret: impl Fn(u32, &str) -> bool) -> String {
    let mut out = format!("error: {}: ", problem.kind);
    if !problem.path.is_root() {
        out += &format!("{}: ", problem.path);
    }
    out += &format!("{}\n", problem.message);
    let margin = problem.at.map_or(0, |at| at.line.to_string().len());
    if let Some(Position { line: number, column }) = problem.at {
        out += &format!("{:margin$}--> {file}:{number}:{column}\n", "");
        if let Some(line) = text.lines().nth(number.saturating_sub(1) as usize) {
            out += &if is_secret(number, line) {
                format!("{:margin$} |\n{number} | (not shown: this line may hold a secret)\n", "")
            } else {
                let (line, indent) = around(line, column.saturating_sub(1) as usize);
                format!("{:margin$} |\n{number} | {line}\n{:margin$} | {indent}^\n", "", "")
            };
        }
    }
    if let Some(hint) = &problem.hint {
        out += &format!("{:margin$} = hint: {hint}\n", "");
    }
    out
}

/// The part of a line around a column, and the white space that leads to the column under it.
fn around(line: &str, column: usize) -> (String, String) {
    let start = if line.chars().count() <= WIDTH_MAX { 0 } else { column.saturating_sub(WIDTH_MAX / 2) };
    let shown: String =
        line.chars().skip(start).take(WIDTH_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect();
    let indent = " ".repeat((column - start).min(WIDTH_MAX));
    (shown.trim_end().to_owned(), indent)
}
