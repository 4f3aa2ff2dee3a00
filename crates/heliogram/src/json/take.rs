//! From JSON to values.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use heliogram_tl::dynamic::{Catalog, Object, Shape, Value, Wrong};
use heliogram_tl::limits::DEPTH_MAX;
use heliogram_tl::schema::{Declaration, Type};
use serde_json::{Map, Value as Json};

use super::mismatch::Mismatch;
use super::names::did_you_mean;
use super::show::NO_TEXT;

/// Takes values from JSON, as a schema says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Taker<'c> {
    catalog: &'c Catalog<'c>,
    depth_left: u32,
}

impl<'c> Taker<'c> {
    pub(crate) const fn new(catalog: &'c Catalog<'c>) -> Self {
        Self {
            catalog,
            depth_left: DEPTH_MAX,
        }
    }

    /// Finds a method by its name.
    pub(crate) fn method(self, name: &str) -> Result<&'c Declaration<'c>, Mismatch> {
        if let Some(method) = self.catalog.method(name) {
            return Ok(method);
        }
        let problem = match self.catalog.constructor(name) {
            Some(_) => format!("{name} is a constructor, and only methods can be called"),
            None => {
                let names = self.catalog.methods().map(|it| it.name);
                let guess = did_you_mean(name, names);
                format!("there is no method {name} in this schema{guess}")
            }
        };
        Err(Mismatch::new(problem))
    }

    /// Takes a call: a method and its arguments, which is an object of JSON.
    pub(crate) fn call(
        self,
        method: &'c Declaration<'c>,
        arguments: &Json,
    ) -> Result<Object<'c>, Mismatch> {
        self.deeper()?.fields(method, true, arguments)
    }

    fn value(self, ty: Type<'c>, json: &Json) -> Result<Value<'c>, Mismatch> {
        let expected = |what: &str| {
            let found = brief(json);
            Mismatch::new(format!("expected {ty}, {what}; found {found}"))
        };
        let shape = Shape::of(ty);
        Ok(match shape {
            Shape::Any | Shape::Bare(_) | Shape::Boxed(_) => {
                Value::Object(self.object(ty, shape, json)?)
            }
            Shape::Bool | Shape::True => match truth(json) {
                Some(_) if shape == Shape::True => Value::True,
                Some(value) => Value::Bool(value),
                None => return Err(expected("true or false")),
            },
            Shape::Bytes => {
                let bytes = json.as_str().map_or_else(|| no_text(json), bytes);
                Value::Bytes(bytes.ok_or_else(|| expected(BYTES))?)
            }
            Shape::Double => Value::Double(double(json).ok_or_else(|| expected("a number"))?),
            Shape::Flags => {
                let bits = integer(json).and_then(|it| u32::try_from(it).ok());
                Value::Flags(bits.ok_or_else(|| expected("a number of 32 bits without sign"))?)
            }
            Shape::Int => {
                let value = integer(json).and_then(|it| i32::try_from(it).ok());
                Value::Int(value.ok_or_else(|| expected("a whole number of 32 bits"))?)
            }
            Shape::Int128 => Value::Int128(digits(json).ok_or_else(|| expected("32 hex digits"))?),
            Shape::Int256 => Value::Int256(digits(json).ok_or_else(|| expected("64 hex digits"))?),
            Shape::Long => {
                let what = "a whole number of 64 bits, or a string of its digits";
                let value = integer(json).and_then(|it| i64::try_from(it).ok());
                Value::Long(value.ok_or_else(|| expected(what))?)
            }
            Shape::String => {
                let text = json.as_str().map(|text| text.as_bytes().to_vec());
                let text = text.or_else(|| no_text(json));
                Value::String(text.ok_or_else(|| expected("a string"))?)
            }
            Shape::Vector { element, boxed } => {
                let elements = elements(json).ok_or_else(|| expected("an array: [ ]"))?;
                let deeper = self.deeper()?;
                let mut values = Vec::with_capacity(elements.len());
                for (at, it) in elements.iter().enumerate() {
                    let value = deeper.value(element, it);
                    values.push(value.map_err(|error| error.within(&at.to_string()))?);
                }
                Value::Vector {
                    boxed,
                    elements: values,
                }
            }
        })
    }

    /// Takes an object, whose constructor is named, or is the only one.
    fn object(self, ty: Type<'c>, shape: Shape<'c>, json: &Json) -> Result<Object<'c>, Mismatch> {
        let parsed = embedded(json);
        let json = parsed.as_ref().unwrap_or(json);
        let name = match (json, json.get("_")) {
            (Json::String(name), _) => Some(name.as_str()),
            (Json::Object(_), None) => None,
            (Json::Object(_), Some(Json::String(name))) => Some(name.as_str()),
            (Json::Object(_), Some(other)) => {
                let found = brief(other);
                let problem = format!("expected the name of a constructor; found {found}");
                return Err(Mismatch::new(problem).within("_"));
            }
            _ => {
                let found = brief(json);
                let problem = format!("expected {}; found {found}", self.choice(ty, shape));
                return Err(Mismatch::new(problem));
            }
        };
        let declaration = match name {
            Some(name) => self.named(ty, shape, name)?,
            None => self.only(ty, shape)?,
        };
        let nothing = Json::Object(Map::new());
        let fields = if json.is_string() { &nothing } else { json };
        let is_boxed = !matches!(shape, Shape::Bare(_));
        self.deeper()?.fields(declaration, is_boxed, fields)
    }

    /// Finds a constructor or method by its name, which must be of the type.
    fn named(
        self,
        ty: Type<'c>,
        shape: Shape<'c>,
        name: &str,
    ) -> Result<&'c Declaration<'c>, Mismatch> {
        let catalog = self.catalog;
        let found = if shape == Shape::Any {
            if ty.text() != "Object" {
                return self.method(name);
            }
            catalog.constructor(name).or_else(|| catalog.method(name))
        } else if let Shape::Bare(of) = shape {
            catalog.bare(of).filter(|it| it.name == name)
        } else {
            let constructor = catalog.constructor(name);
            constructor.filter(|it| Shape::of(it.result) == shape)
        };
        found.ok_or_else(|| {
            let names = constructors(catalog, shape).map(|it| it.name);
            let guess = did_you_mean(name, names);
            let choice = self.choice(ty, shape);
            Mismatch::new(format!("{name} is not {choice}{guess}"))
        })
    }

    /// Returns the type's constructor, if it has but one.
    fn only(self, ty: Type<'c>, shape: Shape<'c>) -> Result<&'c Declaration<'c>, Mismatch> {
        let mut all = constructors(self.catalog, shape);
        match (all.next(), all.next()) {
            (Some(only), None) => Ok(only),
            _ => {
                let choice = self.choice(ty, shape);
                Err(Mismatch::new(format!(
                    "\"_\" is missing: it names {choice}"
                )))
            }
        }
    }

    /// Words what may stand for a type: `Bool: one of boolFalse, boolTrue`.
    fn choice(self, ty: Type<'_>, shape: Shape<'_>) -> String {
        format!("{ty}: {}", self.names(shape))
    }

    fn names(self, shape: Shape<'_>) -> String {
        if shape == Shape::Any {
            return "a method".to_owned();
        }
        let constructors = constructors(self.catalog, shape);
        let mut names: Vec<_> = constructors.map(|it| it.name).collect();
        if names.is_empty() {
            return "a type that this schema has no constructor of".to_owned();
        }
        names.sort_unstable();
        let more = names.len().saturating_sub(CHOICES_MAX);
        names.truncate(CHOICES_MAX);
        let names = names.join(", ");
        match more {
            0 => format!("one of {names}"),
            more => format!("one of {names} and {more} more"),
        }
    }

    fn fields(
        self,
        declaration: &'c Declaration<'c>,
        is_boxed: bool,
        json: &Json,
    ) -> Result<Object<'c>, Mismatch> {
        let Json::Object(map) = json else {
            let found = brief(json);
            let problem = format!("expected an object: {{ }}; found {found}");
            return Err(Mismatch::new(problem).declared(declaration));
        };
        let mut fields = Vec::new();
        for (name, json) in map.iter().filter(|(name, _)| *name != "_") {
            let Some(field) = declaration.fields.iter().find(|it| it.name == name) else {
                let guess = did_you_mean(name, declaration.fields.iter().map(|it| it.name));
                let problem = format!("{} has no field {name}{guess}", declaration.name);
                return Err(Mismatch::new(problem).declared(declaration));
            };
            let is_absent = json.is_null() || (field.is_flag() && truth(json) == Some(false));
            if field.condition.is_some() && is_absent {
                continue;
            }
            let value = self.value(field.ty, json);
            let value = value.map_err(|it| it.within(name).declared(declaration))?;
            fields.push((field.name, value));
        }
        Object::new(declaration, is_boxed, fields).map_err(|misfit| {
            let missing = match misfit.wrong {
                Wrong::Missing(ty) | Wrong::MissingBeside { ty, .. } => Some(ty),
                Wrong::Kind(_) | Wrong::Twice | Wrong::Unknown | _ => None,
            };
            let hint = missing.map(|ty| self.hint(ty)).unwrap_or_default();
            Mismatch::new(format!("{misfit}{hint}")).declared(declaration)
        })
    }

    /// Names what may stand where nothing stands, if there is a choice.
    fn hint(self, ty: Type<'_>) -> String {
        let shape = Shape::of(ty);
        if matches!(shape, Shape::Any | Shape::Boxed(_)) {
            format!(": {}", self.names(shape))
        } else {
            String::new()
        }
    }

    fn deeper(self) -> Result<Self, Mismatch> {
        let depth_left = self.depth_left.checked_sub(1).ok_or_else(|| {
            Mismatch::new(format!("more than {DEPTH_MAX} objects within one another"))
        })?;
        Ok(Self { depth_left, ..self })
    }
}

/// Returns the constructors that may stand for a type.
fn constructors<'c>(
    catalog: &'c Catalog<'c>,
    shape: Shape<'_>,
) -> std::vec::IntoIter<&'c Declaration<'c>> {
    let all: Vec<_> = if let Shape::Boxed(name) = shape {
        catalog.constructors_of(name).collect()
    } else if let Shape::Bare(name) = shape {
        catalog.bare(name).into_iter().collect()
    } else {
        Vec::new()
    };
    all.into_iter()
}

/// Parses a string that holds an object or an array of JSON, as command lines have them.
fn embedded(json: &Json) -> Option<Json> {
    let text = json.as_str()?.trim_start();
    if text.starts_with(['{', '[']) {
        serde_json::from_str(text).ok()
    } else {
        None
    }
}

/// Returns the elements of an array, or of an object whose keys are their places.
fn elements(json: &Json) -> Option<Vec<Json>> {
    if let Some(parsed) = embedded(json) {
        return elements(&parsed);
    }
    if let Some(map) = json.as_object() {
        let places = (0..map.len()).map(|at| map.get(&at.to_string()).cloned());
        return places.collect();
    }
    json.as_array().cloned()
}

fn truth(json: &Json) -> Option<bool> {
    match (json, json.as_str()) {
        (Json::Bool(value), _) => Some(*value),
        (_, Some("true")) => Some(true),
        (_, Some("false")) => Some(false),
        _ => None,
    }
}

fn integer(json: &Json) -> Option<i128> {
    if let Some(text) = json.as_str() {
        return text.parse().ok();
    }
    let signed = json.as_i64().map(i128::from);
    signed.or_else(|| json.as_u64().map(i128::from))
}

fn double(json: &Json) -> Option<f64> {
    json.as_str()
        .map_or_else(|| json.as_f64(), |text| text.parse().ok())
}

/// Reads the object that stands for a string that is no text.
fn no_text(json: &Json) -> Option<Vec<u8>> {
    let map = json.as_object().filter(|map| map.len() == 1)?;
    STANDARD.decode(map.get(NO_TEXT)?.as_str()?).ok()
}

/// Reads Base64, or what a prefix says.
fn bytes(text: &str) -> Option<Vec<u8>> {
    match text.split_once(':') {
        Some(("hex", digits)) => unhex(digits),
        Some(("text", text)) => Some(text.as_bytes().to_vec()),
        Some(("base64", text)) => STANDARD.decode(text).ok(),
        Some(_) => None,
        None => STANDARD.decode(text).ok(),
    }
}

fn digits<const N: usize>(json: &Json) -> Option<[u8; N]> {
    unhex(json.as_str()?)?.try_into().ok()
}

/// Reads hexadecimal digits.
pub(crate) fn unhex(digits: &str) -> Option<Vec<u8>> {
    let digit = |it: &u8| char::from(*it).to_digit(16);
    let pairs = digits.as_bytes().chunks(2).map(|pair| match pair {
        [high, low] => u8::try_from(digit(high)? << 4 | digit(low)?).ok(),
        _ => None,
    });
    pairs.collect()
}

/// Shows what was found, or its beginning.
fn brief(json: &Json) -> String {
    let text = json.to_string();
    match text.char_indices().nth(BRIEF_CHARS_MAX) {
        None => text,
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
    }
}

const BRIEF_CHARS_MAX: usize = 60;
const CHOICES_MAX: usize = 12;
const BYTES: &str = "a string of Base64, of \"hex:\" and digits, or of \"text:\" and text";
