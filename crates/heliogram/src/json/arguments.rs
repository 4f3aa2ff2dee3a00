//! Arguments of a command line: `peer=inputPeerUser peer.user_id=5`, or JSON.

use std::path::Path;

use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value as Json, json};

use super::show::NO_TEXT;

/// One argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Argument<'a> {
    /// An object whose fields are arguments.
    Whole(&'a str),
    /// `path=value`: what the value is, its type says.
    Text(&'a str, &'a str),
    /// `path:=json`.
    Json(&'a str, &'a str),
    /// `path@=file`.
    File(&'a str, &'a str),
}

impl<'a> Argument<'a> {
    /// Tells what an argument is.
    ///
    /// # Errors
    ///
    /// If it is neither an object nor has a `=`.
    pub(crate) fn parse(text: &'a str) -> anyhow::Result<Self> {
        if text == "-" || text.starts_with(['{', '@']) {
            return Ok(Self::Whole(text));
        }
        let Some((path, value)) = text.split_once('=') else {
            bail!("{text} is no argument: write name=value, or all arguments as an object of JSON");
        };
        Ok(match (path.strip_suffix(':'), path.strip_suffix('@')) {
            (Some(path), _) => Self::Json(path, value),
            (_, Some(path)) => Self::File(path, value),
            (None, None) => Self::Text(path, value),
        })
    }
}

/// Makes one object of all arguments; a later one wins. `read` reads a file, or standard input for `-`.
///
/// # Errors
///
/// If something is no JSON, can't be read, or leads into a value that has no fields.
pub(crate) fn merge(
    arguments: &[String],
    read: impl Fn(&Path) -> std::io::Result<Vec<u8>>,
) -> anyhow::Result<Json> {
    let mut all = Json::Object(Map::new());
    let load = |path: &str| read(Path::new(path)).with_context(|| format!("{path} can't be read"));
    for argument in arguments {
        match Argument::parse(argument)? {
            Argument::Whole(text) => {
                let loaded = match text.strip_prefix('@') {
                    Some(path) => load(path)?,
                    None if text == "-" => load(text)?,
                    None => text.as_bytes().to_vec(),
                };
                let map: Map<String, Json> = serde_json::from_slice(&loaded)
                    .with_context(|| format!("{text} is no object of JSON"))?;
                for (name, value) in map {
                    *at(&mut all, &name)? = value;
                }
            }
            Argument::Text(path, text) => *at(&mut all, path)? = json!(text),
            Argument::Json(path, text) => {
                let value = serde_json::from_str(text);
                *at(&mut all, path)? = value.with_context(|| format!("{argument}: no JSON"))?;
            }
            Argument::File(path, file) => {
                *at(&mut all, path)? = json!({ NO_TEXT: STANDARD.encode(load(file)?) });
            }
        }
    }
    Ok(all)
}

/// Finds the place that a path with dots leads to, made on the way.
fn at<'j>(root: &'j mut Json, path: &str) -> anyhow::Result<&'j mut Json> {
    let mut place = root;
    for name in path.split('.') {
        if name.is_empty() {
            bail!("{path}= is no argument: a name is empty");
        }
        // `peer=inputPeerUser` before `peer.user_id=5` names the constructor.
        if let Json::String(text) = place {
            *place = match serde_json::from_str(text) {
                Ok(parsed @ (Json::Object(_) | Json::Array(_))) => parsed,
                _ => json!({ "_": text }),
            };
        }
        if place.is_null() {
            *place = Json::Object(Map::new());
        }
        let found = match place {
            Json::Object(map) => Some(map.entry(name).or_insert(Json::Null)),
            Json::Array(elements) => {
                let index = name.parse().ok();
                if index == Some(elements.len()) {
                    elements.push(Json::Null);
                }
                index.and_then(|index: usize| elements.get_mut(index))
            }
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => None,
        };
        place = found
            .with_context(|| format!("{path}: there is no {name} in what was given before"))?;
    }
    Ok(place)
}
