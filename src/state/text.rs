//! Text to tree: YAML, and with it JSON, with the position of every node.
//!
//! The parser only cuts the text into events; what they mean is decided here: anchors are copied,
//! merge keys (`<<`) are ordinary keys, there is one document, and every cost has a limit, so that
//! no text, however made, costs much time or memory.

use std::collections::BTreeMap;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Tag};

use super::{Entry, Node, Path, Position, Problem, Value};

/// Longest text. 100,000 routes, more than any host is configured with, are about 15 MiB.
pub const TEXT_BYTES_MAX: usize = 16 << 20;

/// Deepest nesting, aliases followed. The schema needs 9 levels; readers and printers recurse, so
/// this bounds their stack.
pub const DEPTH_MAX: usize = 64;

/// Most keys and values, aliases followed: enough for 150,000 routes, and at about 100 bytes each a
/// bound on memory. An anchor counts twice, since its node is kept for its aliases.
pub const NODES_MAX: usize = 2_000_000;

/// Most bytes in all scalars and keys, aliases followed: twice what a text can hold without aliases.
pub const SCALARS_BYTES_MAX: usize = 2 * TEXT_BYTES_MAX;

/// Longest scalar. The longest sensible one is a dispatch script.
pub const SCALAR_BYTES_MAX: usize = 1 << 20;

/// The tree of a text; a text without content is an empty mapping.
pub fn parse(text: &str) -> Result<Node, Problem> {
    if text.len() > TEXT_BYTES_MAX {
        let mib = TEXT_BYTES_MAX >> 20;
        return Err(Problem::invalid(Path::root(), format!("the document is longer than {mib} MiB")));
    }
    let node = match parse_yaml(text) {
        Ok(node) => node,
        // JSON that the YAML parser refuses, as escapes of surrogate pairs. Its positions are lost.
        Err(problem) if text.trim_start().starts_with('{') => match serde_json::from_str(text) {
            Ok(json) => within_limits(Node::from_json(&json))?,
            Err(_) => return Err(problem),
        },
        Err(problem) => return Err(problem),
    };
    match &node.value {
        Value::Map(_) => Ok(node),
        _ if node.is_null() => Ok(Node { value: Value::Map(Vec::new()), ..node }),
        _ => {
            let message = format!("the document must be a mapping, found {}", node.describe());
            Err(Problem::invalid(Path::root(), message).at(node.at))
        }
    }
}

fn parse_yaml(text: &str) -> Result<Node, Problem> {
    let mut parser = Parser::new_from_str(text);
    let mut builder = Builder::default();
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|error| not_yaml(text, &error))?;
        builder.take(event, position(span.start))?;
    }
    Ok(builder.root.unwrap_or_else(Node::null))
}

fn position(marker: Marker) -> Position {
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Position { line: number(marker.line()), column: number(marker.col().saturating_add(1)) }
}

fn invalid<T>(at: Position, message: impl Into<String>) -> Result<T, Problem> {
    Err(Problem::invalid(Path::root(), message).at(Some(at)))
}

/// A syntax error, in words for somebody who does not know the parser.
fn not_yaml(text: &str, error: &ScanError) -> Problem {
    let at = position(*error.marker());
    let line = text.lines().nth(at.line.saturating_sub(1) as usize).unwrap_or_default();
    let indentation = &line[..line.len() - line.trim_start().len()];
    let problem = match indentation.find('\t') {
        Some(tabs) => {
            let column = u32::try_from(indentation[..tabs].chars().count() + 1).unwrap_or(u32::MAX);
            return Problem::invalid(Path::root(), "not valid YAML: a tab in the indentation")
                .with_hint("indent with spaces")
                .at(Some(Position { column, ..at }));
        }
        None => Problem::invalid(Path::root(), format!("not valid YAML: {}", error.info())),
    };
    problem.at(Some(at))
}

/// A collection that is not closed yet.
struct Open {
    at: Position,
    anchor: usize,
    content: Content,
}

enum Content {
    List(Vec<Node>),
    /// The key waits for its value.
    Map(Vec<Entry>, Option<(String, Position)>),
}

/// Puts events together to a tree.
#[derive(Default)]
struct Builder {
    root: Option<Node>,
    open: Vec<Open>,
    anchors: BTreeMap<usize, (Node, Size)>,
    used: Size,
    documents: usize,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, at: Position) -> Result<(), Problem> {
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    return invalid(at, "more than one document in the text");
                }
                Ok(())
            }
            Event::Scalar(text, style, anchor, tag) => {
                let tag = core_tag(tag.as_deref(), at)?;
                if text.len() > SCALAR_BYTES_MAX {
                    return invalid(at, format!("a text longer than {} MiB", SCALAR_BYTES_MAX >> 20));
                }
                // Line breaks in YAML 1.1 and none in 1.2: readers differ, so such a text would not
                // survive being printed.
                if text.contains(['\u{2028}', '\u{2029}']) {
                    return invalid(at, "a text with the Unicode line separator U+2028 or U+2029");
                }
                let plain = matches!(style, ScalarStyle::Plain) && tag != Some("str");
                self.spend(Size { nodes: 1, bytes: text.len(), depth: 0 }, at)?;
                let node = Node { value: Value::Scalar { text: text.into_owned(), plain }, at: Some(at) };
                self.close(node, anchor, at)
            }
            Event::SequenceStart(anchor, tag) => {
                core_tag(tag.as_deref(), at)?;
                self.enter(at, anchor, Content::List(Vec::new()))
            }
            Event::MappingStart(anchor, tag) => {
                core_tag(tag.as_deref(), at)?;
                self.enter(at, anchor, Content::Map(Vec::new(), None))
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(Open { at, anchor, content }) = self.open.pop() else { return Ok(()) };
                let value = match content {
                    Content::List(items) => Value::List(items),
                    Content::Map(entries, _) => Value::Map(entries),
                };
                self.close(Node { value, at: Some(at) }, anchor, at)
            }
            Event::Alias(anchor) => {
                let Some((_, size)) = self.anchors.get(&anchor) else {
                    return invalid(at, "an alias inside of what it stands for");
                };
                self.spend(*size, at)?;
                let node = self.anchors[&anchor].0.clone();
                self.add(Node { at: Some(at), ..node }, at)
            }
        }
    }

    fn enter(&mut self, at: Position, anchor: usize, content: Content) -> Result<(), Problem> {
        self.spend(Size { nodes: 1, bytes: 0, depth: 1 }, at)?;
        self.open.push(Open { at, anchor, content });
        Ok(())
    }

    /// Accounts for what is about to be added at the present depth.
    fn spend(&mut self, size: Size, at: Position) -> Result<(), Problem> {
        self.used.nodes += size.nodes;
        self.used.bytes += size.bytes;
        check(Size { depth: self.open.len() + size.depth, ..self.used }).or_else(|what| invalid(at, what))
    }

    fn close(&mut self, node: Node, anchor: usize, at: Position) -> Result<(), Problem> {
        if anchor > 0 {
            let size = Size::of(&node);
            self.spend(Size { depth: 0, ..size }, at)?;
            self.anchors.insert(anchor, (node.clone(), size));
        }
        self.add(node, at)
    }

    fn add(&mut self, node: Node, at: Position) -> Result<(), Problem> {
        match self.open.last_mut().map(|open| &mut open.content) {
            None => self.root = Some(node),
            Some(Content::List(items)) => items.push(node),
            Some(Content::Map(entries, key)) => match key.take() {
                Some((key, key_at)) => entries.push(Entry { key, at: Some(key_at), value: node }),
                None => match node.value {
                    Value::Scalar { text, plain } if !(plain && text.is_empty()) => *key = Some((text, at)),
                    Value::Scalar { .. } => return invalid(at, "a value without a key"),
                    Value::List(_) | Value::Map(_) => return invalid(at, "a key must be text"),
                },
            },
        }
        Ok(())
    }
}

/// The name of a tag of YAML's core schema (`!!str`); other tags have no meaning here.
fn core_tag(tag: Option<&Tag>, at: Position) -> Result<Option<&str>, Problem> {
    const KNOWN: [&str; 7] = ["str", "int", "bool", "float", "null", "map", "seq"];
    match tag {
        None => Ok(None),
        Some(tag) if tag.is_yaml_core_schema() && KNOWN.contains(&tag.suffix.as_str()) => {
            Ok(Some(&tag.suffix))
        }
        // `! text`: the tag that only says "not plain".
        Some(tag) if tag.handle == "!" && tag.suffix.is_empty() => Ok(Some("str")),
        // Not repeated in the message: it may be a secret that begins with `!`.
        Some(_) => Err(Problem::invalid(Path::root(), "a tag that is not known")
            .with_hint("a text that begins with `!` needs quotes")
            .at(Some(at))),
    }
}

/// What a tree costs.
#[derive(Clone, Copy, Default)]
struct Size {
    nodes: usize,
    bytes: usize,
    /// Levels of collections.
    depth: usize,
}

impl Size {
    fn of(node: &Node) -> Self {
        let mut size = Self { nodes: 1, ..Self::default() };
        match &node.value {
            Value::Scalar { text, .. } => size.bytes = text.len(),
            Value::List(items) => items.iter().for_each(|item| size.add(Self::of(item))),
            Value::Map(entries) => entries.iter().for_each(|entry| {
                size.bytes += entry.key.len();
                size.add(Self::of(&entry.value));
            }),
        }
        size.depth += usize::from(!matches!(node.value, Value::Scalar { .. }));
        size
    }

    /// Adds a child.
    fn add(&mut self, child: Self) {
        self.nodes += child.nodes;
        self.bytes += child.bytes;
        self.depth = self.depth.max(child.depth);
    }
}

fn check(size: Size) -> Result<(), String> {
    if size.depth > DEPTH_MAX {
        Err(format!("nested deeper than {DEPTH_MAX} levels"))
    } else if size.nodes > NODES_MAX {
        Err(format!("more than {NODES_MAX} keys and values, aliases followed"))
    } else if size.bytes > SCALARS_BYTES_MAX {
        Err(format!("more than {} MiB of text, aliases followed", SCALARS_BYTES_MAX >> 20))
    } else {
        Ok(())
    }
}

/// A tree that did not come through the builder (serde_json nests at most 128 levels).
fn within_limits(node: Node) -> Result<Node, Problem> {
    match check(Size::of(&node)) {
        Ok(()) => Ok(node),
        Err(what) => Err(Problem::invalid(Path::root(), what)),
    }
}
