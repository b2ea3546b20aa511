//! What an expression means: `[capture.NAME |] PATH [OPERATOR OPERAND]`.

use super::Wrong;
use super::lex::{Kind, Part, Token, tokens};
use crate::state::ErrorKind;

/// A capture expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Expression {
    /// The capture that is looked at; None: the current state.
    pub source: Option<Reference>,
    pub action: Action,
}

/// The name of a capture, where an expression says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reference {
    pub name: String,
    pub at: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// All of it.
    Whole,
    /// Only what stands there.
    Select(Vec<Part>),
    /// Of the list on the way, the items whose property has that value; or, if not `wanted`, those where
    /// it has not.
    Filter { path: Vec<Part>, operand: Operand, wanted: bool },
    /// The items of the list on the way, each with the property set.
    Replace { path: Vec<Part>, operand: Operand },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Operand {
    Text(String),
    Null,
    /// What stands there in a capture, or in the current state.
    Path {
        source: Option<Reference>,
        path: Vec<Part>,
    },
}

impl Expression {
    pub(super) fn read(text: &str) -> Result<Self, Wrong> {
        let tokens = tokens(text)?;
        let mut pipes = tokens.iter().enumerate().filter(|(_, token)| token.kind == Kind::Pipe);
        let (source, rest) = match (pipes.next(), pipes.next()) {
            (_, Some((_, second))) => {
                return Err(Wrong::policy(second.at, "only one `|` can stand in an expression"));
            }
            (None, None) => (None, tokens.as_slice()),
            (Some((index, pipe)), None) => {
                let (before, after) = (&tokens[..index], &tokens[index + 1..]);
                (Some(piped(before, after, pipe.at)?), after)
            }
        };
        let is_operator = |token: &&Token| matches!(token.kind, Kind::Equal | Kind::NotEqual | Kind::Replace);
        let mut operators = rest.iter().enumerate().filter(|(_, token)| is_operator(token));
        let (first, second) = (operators.next(), operators.next());
        if let Some((_, second)) = second {
            return Err(Wrong::policy(second.at, "only one operator can stand in an expression"));
        }
        let Some((index, operator)) = first else { return without_operator(source, rest) };
        let path = left(&rest[..index], operator.at)?;
        let operand = right(&rest[index + 1..], operator.at)?;
        let (own, path) = split(path, ErrorKind::PolicyError)?;
        let source = source.or(own);
        let action = match operator.kind {
            Kind::Replace => Action::Replace { path, operand },
            ref kind => Action::Filter { path, operand, wanted: *kind == Kind::Equal },
        };
        Ok(Self { source, action })
    }

    /// The captures that it needs.
    pub(super) fn needs(&self) -> impl Iterator<Item = &Reference> {
        let operand = match &self.action {
            Action::Filter { operand, .. } | Action::Replace { operand, .. } => Some(operand),
            Action::Whole | Action::Select(_) => None,
        };
        let of_operand = match operand {
            Some(Operand::Path { source, .. }) => source.as_ref(),
            _ => None,
        };
        self.source.iter().chain(of_operand)
    }
}

/// What stands before `|`, which is at `pipe`.
fn piped(before: &[Token], after: &[Token], pipe: usize) -> Result<Reference, Wrong> {
    const BEFORE: &str = "only `capture.NAME` can stand before `|`";
    match after.first() {
        None => return Err(Wrong::policy(pipe, "nothing stands after `|`")),
        Some(Token { kind: Kind::Path(_), .. }) => {}
        Some(token) => return Err(Wrong::policy(token.at, "expected a path after `|`")),
    }
    match before {
        [Token { kind: Kind::Path(path), .. }] => match path.as_slice() {
            [capture, name] if capture.word == CAPTURE => {
                Ok(Reference { name: name.word.clone(), at: name.at })
            }
            _ => Err(Wrong::policy(path[0].at, BEFORE)),
        },
        _ => Err(Wrong::policy(before.first().map_or(pipe, |token| token.at), BEFORE)),
    }
}

const CAPTURE: &str = "capture";

fn without_operator(source: Option<Reference>, tokens: &[Token]) -> Result<Expression, Wrong> {
    let path = match tokens {
        [] => return Ok(Expression { source, action: Action::Whole }),
        [Token { kind: Kind::Path(path), .. }] => path.clone(),
        [Token { kind: Kind::Text(word), at }] => vec![Part { word: word.clone(), at: *at }],
        [Token { kind: Kind::Path(_) | Kind::Text(_), .. }, more, ..] => {
            return Err(Wrong::policy(more.at, "nothing can follow a path but `==`, `!=` or `:=`"));
        }
        [token, ..] => return Err(Wrong::policy(token.at, "expected a path")),
    };
    let (own, path) = split(path, ErrorKind::PolicyError)?;
    Ok(Expression { source: source.or(own), action: Action::Select(path) })
}

fn left(tokens: &[Token], operator: usize) -> Result<Vec<Part>, Wrong> {
    const ONE: &str = "expected one path before the operator";
    match tokens {
        [Token { kind: Kind::Path(path), .. }] => Ok(path.clone()),
        [token] => Err(Wrong::policy(token.at, ONE)),
        _ => Err(Wrong::policy(operator, ONE)),
    }
}

fn right(tokens: &[Token], operator: usize) -> Result<Operand, Wrong> {
    match tokens {
        [] => Err(Wrong::policy(operator, "nothing stands after the operator")),
        [Token { kind: Kind::Null, .. }] => Ok(Operand::Null),
        [Token { kind: Kind::Text(text), .. }] => Ok(Operand::Text(text.clone())),
        [Token { kind: Kind::Path(path), .. }] => {
            let (source, path) = split(path.clone(), ErrorKind::InvalidArgument)?;
            Ok(Operand::Path { source, path })
        }
        [token, ..] => Err(Wrong::policy(token.at, "expected one value after the operator")),
    }
}

/// `capture.NAME.` in front of a path is where it leads from. `kind`: of the problem if there is no more.
pub(super) fn split(mut path: Vec<Part>, kind: ErrorKind) -> Result<(Option<Reference>, Vec<Part>), Wrong> {
    if path[0].word != CAPTURE {
        return Ok((None, path));
    }
    if path.len() < 3 {
        let message = "expected `capture.NAME.` and a path within that capture".to_owned();
        return Err(Wrong { kind, at: path[0].at, message });
    }
    let rest = path.split_off(2);
    let name = path.swap_remove(1);
    Ok((Some(Reference { name: name.word, at: name.at }), rest))
}
