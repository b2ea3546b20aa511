//! A reader of varlink interfaces, as strict as the published grammar (varlink.org, "Interface
//! Definition").

use std::collections::BTreeMap;

/// An interface.
#[derive(Debug, Default)]
pub struct Interface {
    pub name: String,
    pub types: BTreeMap<String, Vec<Field>>,
    /// Parameters and what is answered.
    pub methods: Vec<(String, Vec<Field>, Vec<Field>)>,
    pub errors: Vec<(String, Vec<Field>)>,
}

/// A field and its type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    pub name: String,
    pub is_optional: bool,
    pub kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    Bool,
    Int,
    Text,
    Object,
    List(Box<Kind>),
    Named(String),
    Enumeration(Vec<String>),
}

/// Reads an interface; panics where it is wrong.
pub fn read(text: &str) -> Interface {
    let mut tokens = Tokens { rest: text };
    let mut interface = Interface::default();
    tokens.expect("interface");
    interface.name = tokens.take(|c| c.is_ascii_alphanumeric() || ".-".contains(c));
    while !tokens.is_end() {
        match tokens.word().as_str() {
            "type" => {
                let name = tokens.type_name();
                let fields = tokens.fields();
                assert!(interface.types.insert(name.clone(), fields).is_none(), "{name} twice");
            }
            "method" => {
                let (name, parameters) = (tokens.type_name(), tokens.fields());
                tokens.expect("->");
                interface.methods.push((name, parameters, tokens.fields()));
            }
            "error" => interface.errors.push((tokens.type_name(), tokens.fields())),
            word => panic!("neither type, method nor error: {word}"),
        }
    }
    interface
}

struct Tokens<'a> {
    rest: &'a str,
}

impl Tokens<'_> {
    fn skip(&mut self) {
        loop {
            self.rest = self.rest.trim_start();
            match self.rest.strip_prefix('#') {
                Some(comment) => self.rest = comment.split_once('\n').map_or("", |(_, rest)| rest),
                None => return,
            }
        }
    }

    fn is_end(&mut self) -> bool {
        self.skip();
        self.rest.is_empty()
    }

    fn accept(&mut self, token: &str) -> bool {
        self.skip();
        let rest = self.rest.strip_prefix(token);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn expect(&mut self, token: &str) {
        assert!(self.accept(token), "expected {token} at: {:.60}", self.rest);
    }

    fn take(&mut self, is_part: impl Fn(char) -> bool) -> String {
        self.skip();
        let end = self.rest.find(|c| !is_part(c)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        assert!(!word.is_empty(), "expected a word at: {:.60}", self.rest);
        self.rest = rest;
        word.to_owned()
    }

    fn word(&mut self) -> String {
        self.take(|c| c.is_ascii_alphanumeric() || c == '_')
    }

    /// `[A-Z][A-Za-z0-9]*`
    fn type_name(&mut self) -> String {
        let name = self.take(|c| c.is_ascii_alphanumeric());
        assert!(name.starts_with(|c: char| c.is_ascii_uppercase()), "{name}");
        name
    }

    /// `[A-Za-z](_?[A-Za-z0-9])*`
    fn field_name(&mut self) -> String {
        let name = self.word();
        let is_fine = name.starts_with(|c: char| c.is_ascii_alphabetic())
            && !name.ends_with('_')
            && !name.contains("__");
        assert!(is_fine, "{name}");
        name
    }

    fn fields(&mut self) -> Vec<Field> {
        self.expect("(");
        let mut fields = Vec::new();
        while !self.accept(")") {
            if !fields.is_empty() {
                self.expect(",");
            }
            let name = self.field_name();
            self.expect(":");
            let is_optional = self.accept("?");
            fields.push(Field { name, is_optional, kind: self.kind() });
        }
        fields
    }

    fn kind(&mut self) -> Kind {
        if self.accept("[]") {
            return Kind::List(Box::new(self.kind()));
        }
        if self.accept("(") {
            let mut names = vec![self.field_name()];
            while self.accept(",") {
                names.push(self.field_name());
            }
            self.expect(")");
            return Kind::Enumeration(names);
        }
        match self.word().as_str() {
            "bool" => Kind::Bool,
            "int" => Kind::Int,
            "string" => Kind::Text,
            "object" => Kind::Object,
            name => Kind::Named(name.to_owned()),
        }
    }
}
