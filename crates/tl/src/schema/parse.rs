//! From words to declarations.

use super::ty::{is_name, is_qualified_name};
use super::words::{Word, Words};
use super::{Condition, Declaration, Field, Kind, ParseError, Problem, Role, Schema, Type};

/// Parses a schema.
///
/// # Errors
///
/// The first declaration that breaks a rule, with its line.
pub fn parse(text: &str) -> Result<Schema<'_>, ParseError> {
    let mut words = Words::new(text);
    let mut role = Role::Constructor;
    let mut declarations = Vec::<Declaration<'_>>::new();
    while let Some(first) = words.next()? {
        if first.text.starts_with("---") {
            role = section(first)?;
            continue;
        }
        let statement = statement(first, &mut words)?;
        let declaration = declaration(first, &statement, role).map_err(|problem| ParseError {
            line: first.line,
            problem,
        })?;
        let is_repeated =
            |other: &Declaration<'_>| other.id.is_some() && other.id == declaration.id;
        if declarations.iter().any(is_repeated) {
            return Err(ParseError {
                line: first.line,
                problem: Problem::Duplicate,
            });
        }
        declarations.push(declaration);
    }
    Ok(Schema { declarations })
}

/// Parses `name:Type` or `name:flags.N?Type`.
pub(crate) fn parse_field(text: &str) -> Result<Field<'_>, Problem> {
    let (name, ty) = text.split_once(':').ok_or(Problem::BadName)?;
    if !is_name(name) {
        return Err(Problem::BadName);
    }
    let (condition, ty) = match ty.split_once('?') {
        Some((condition, ty)) => (Some(parse_condition(condition)?), ty),
        None => (None, ty),
    };
    let ty = Type::new(ty).ok_or(Problem::BadType)?;
    Ok(Field {
        name,
        condition,
        ty,
    })
}

fn section(word: Word<'_>) -> Result<Role, ParseError> {
    match word.text {
        "---types---" => Ok(Role::Constructor),
        "---functions---" => Ok(Role::Method),
        _ => Err(ParseError {
            line: word.line,
            problem: Problem::UnknownSection,
        }),
    }
}

/// Collects the words after `first` up to the semicolon.
fn statement<'a>(first: Word<'a>, words: &mut Words<'a>) -> Result<Vec<&'a str>, ParseError> {
    let mut statement = Vec::new();
    while let Some(word) = words.next()? {
        if word.text == ";" {
            return Ok(statement);
        }
        statement.push(word.text);
    }
    Err(ParseError {
        line: first.line,
        problem: Problem::Unfinished,
    })
}

fn declaration<'a>(
    first: Word<'a>,
    words: &[&'a str],
    role: Role,
) -> Result<Declaration<'a>, Problem> {
    let (name, id) = match first.text.split_once('#') {
        Some((name, id)) => (name, Some(parse_id(id)?)),
        None => (first.text, None),
    };
    if !is_qualified_name(name) {
        return Err(Problem::BadName);
    }
    let mut halves = words.splitn(2, |word| *word == "=");
    let (Some(left), Some(right)) = (halves.next(), halves.next()) else {
        return Err(Problem::MissingResult);
    };
    let mut declaration = Declaration {
        line: first.line,
        name,
        id,
        role,
        generics: Vec::new(),
        fields: Vec::new(),
        result: Type::trusted(""),
    };
    if left.iter().any(|word| *word == "?" || *word == "]") {
        declaration.role = Role::Builtin;
        declaration.result = Type::trusted(right.first().ok_or(Problem::MissingResult)?);
        return Ok(declaration);
    }
    let [result] = right else {
        return Err(Problem::MissingResult);
    };
    declaration.result = Type::new(result).ok_or(Problem::BadType)?;
    for word in left {
        match parse_generic(word) {
            Some(parameter) => declaration.generics.push(parameter),
            None => push_field(&mut declaration, parse_field(word)?)?,
        }
    }
    Ok(declaration)
}

fn push_field<'a>(declaration: &mut Declaration<'a>, field: Field<'a>) -> Result<(), Problem> {
    let fields = &mut declaration.fields;
    if fields.iter().any(|other| other.name == field.name) {
        return Err(Problem::Duplicate);
    }
    if let Some(condition) = field.condition {
        let is_its_flags =
            |other: &Field<'_>| other.name == condition.flags && other.ty.kind() == Kind::Flags;
        if !fields.iter().any(is_its_flags) {
            return Err(Problem::BadCondition);
        }
    }
    fields.push(field);
    Ok(())
}

/// Returns the `X` of `{X:Type}`.
pub(crate) fn parse_generic(word: &str) -> Option<&str> {
    word.strip_prefix('{')?
        .strip_suffix(":Type}")
        .filter(|name| is_name(name))
}

fn parse_id(digits: &str) -> Result<u32, Problem> {
    let are_digits = digits.len() <= 8 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    if !are_digits {
        return Err(Problem::BadId);
    }
    u32::from_str_radix(digits, 16).map_err(|_empty| Problem::BadId)
}

fn parse_condition(text: &str) -> Result<Condition<'_>, Problem> {
    let (flags, bit) = text.split_once('.').ok_or(Problem::BadCondition)?;
    let bit = bit.parse().map_err(|_no_number| Problem::BadCondition)?;
    if bit > 31 || !is_name(flags) {
        return Err(Problem::BadCondition);
    }
    Ok(Condition { flags, bit })
}
