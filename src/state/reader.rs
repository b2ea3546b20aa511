//! Reads a tree, and collects everything that is wrong with it.

use super::{Entry, ErrorKind, FieldInfo, InterfaceType, Node, Part, Path, Problem, Value};

/// Most problems worth reporting for one document; more only bury the first ones.
pub const PROBLEMS_MAX: usize = 100;

/// Collects problems while a tree is read, and knows where it is.
#[derive(Default)]
pub struct Reader {
    path: Path,
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
    /// The type of the interface being read: it decides which `bridge` is meant.
    pub(super) interface_type: Option<InterfaceType>,
}

impl Reader {
    pub fn new() -> Self {
        Self::default()
    }

    /// A reader that starts below the root, for a part read on its own.
    pub fn starting_at(path: Path) -> Self {
        Self { path, ..Self::default() }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All problems and all warnings found.
    pub fn finish(self) -> (Vec<Problem>, Vec<Problem>) {
        (self.problems, self.warnings)
    }

    pub fn has_problems(&self) -> bool {
        !self.problems.is_empty()
    }

    pub fn problem(&mut self, node: &Node, message: impl Into<String>) {
        let problem = Problem::invalid(self.path.clone(), message).at(node.at);
        self.report(problem);
    }

    /// Whether no more problems are kept: looking for hints is not worth the time any more.
    fn is_full(&self) -> bool {
        self.problems.len() >= PROBLEMS_MAX
    }

    pub fn report(&mut self, problem: Problem) {
        if !self.is_full() {
            self.problems.push(problem);
        }
    }

    pub fn warn(&mut self, node: &Node, message: impl Into<String>) {
        if self.warnings.len() < PROBLEMS_MAX {
            let warning = Problem::invalid(self.path.clone(), message).at(node.at);
            self.warnings.push(warning);
        }
    }

    /// `expected ..., found ...` at a node.
    pub fn expected<T>(&mut self, node: &Node, what: &str) -> Option<T> {
        self.problem(node, format!("expected {what}, found {}", node.describe()));
        None
    }

    /// Runs `read` one key deeper.
    pub fn at_key<T>(&mut self, key: &str, read: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push_key(key);
        let out = read(self);
        self.path.pop();
        out
    }

    /// Runs `read` one list position deeper.
    pub fn at_index<T>(&mut self, index: usize, read: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push_index(index);
        let out = read(self);
        self.path.pop();
        out
    }

    /// Reads one field of a section. A null counts as not mentioned.
    pub fn field<T: Part>(&mut self, entry: &Entry, canonical: &str, slot: &mut Option<T>, seen: &mut bool) {
        self.at_key(&entry.key, |reader| {
            if std::mem::replace(seen, true) {
                let also =
                    if entry.key == canonical { String::new() } else { format!(" (it means `{canonical}`)") };
                let problem =
                    Problem::invalid(reader.path.clone(), format!("duplicate key `{}`{also}", entry.key))
                        .at(entry.at);
                reader.report(problem);
            } else if !entry.value.is_null() {
                *slot = T::read(&entry.value, reader);
            }
        });
    }

    /// Reports a key that the section does not have, or does not have at this `place`; with a hint
    /// where a wanted one is near.
    pub fn unknown_key(
        &mut self,
        entry: &Entry,
        fields: &[FieldInfo],
        wanted: impl Fn(&str) -> bool,
        place: &str,
    ) {
        if self.is_full() {
            return;
        }
        let has = |field: &&FieldInfo| field.names().any(|name| name == entry.key);
        let problem = if fields.iter().any(|field| has(&field)) {
            let message = format!("key `{}` does not belong to {place}", entry.key);
            Problem::invalid(self.path.key(&entry.key), message)
        } else {
            let names = fields.iter().filter(|field| wanted(field.key)).flat_map(FieldInfo::names);
            let near = nearest(&entry.key, names);
            let mut problem =
                Problem::invalid(self.path.key(&entry.key), format!("unknown key `{}`", entry.key));
            problem.hint = near.map(|name| format!("did you mean `{name}`?"));
            problem
        };
        self.report(problem.at(entry.at));
    }

    /// Reports a mandatory key that is missing. A key that was there but wrong has its own report.
    pub fn missing_key(&mut self, node: &Node, key: &str) {
        let problem =
            Problem::new(ErrorKind::InvalidArgument, self.path.clone(), format!("missing key `{key}`"));
        self.report(problem.at(node.at));
    }

    /// Reports a word that is not in the list, with the nearest one as hint.
    pub fn not_a_word<T>(&mut self, node: &Node, text: Option<&str>, words: &[&'static str]) -> Option<T> {
        if self.is_full() {
            return None;
        }
        let list = words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
        let message = format!("expected one of {list}, found {}", node.describe());
        let mut problem = Problem::invalid(self.path.clone(), message).at(node.at);
        problem.hint = text
            .and_then(|text| nearest(text, words.iter().copied()))
            .map(|word| format!("did you mean `{word}`?"));
        self.report(problem);
        None
    }

    /// The entries of a mapping.
    pub fn entries<'n>(&mut self, node: &'n Node) -> Option<&'n [Entry]> {
        match &node.value {
            Value::Map(entries) => Some(entries),
            _ => self.expected(node, "a mapping"),
        }
    }
}

/// The candidate closest to `word`, if it is close enough to be a slip of the keyboard:
/// equal but for case and separators, or at most a third of its letters away.
pub fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |s: &str| s.chars().filter(|c| c.is_alphanumeric()).collect::<String>().to_lowercase();
    let wanted = plain(word);
    candidates
        .map(|candidate| (distance(&wanted, &plain(candidate)), candidate))
        .filter(|(distance, candidate)| *distance <= candidate.len().min(word.len()) / 3)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Levenshtein distance; long words are not compared (a key has at most 40 letters).
fn distance(a: &str, b: &str) -> usize {
    const LETTERS_MAX: usize = 40;
    let b: Vec<char> = b.chars().collect();
    if a.chars().count() > LETTERS_MAX || b.len() > LETTERS_MAX {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, cb) in b.iter().enumerate() {
            let substitution = diagonal + usize::from(ca != *cb);
            diagonal = row[j + 1];
            row[j + 1] = substitution.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
