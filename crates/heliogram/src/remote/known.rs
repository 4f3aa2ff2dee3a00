//! The schema that a tool goes by.

use std::path::PathBuf;

use anyhow::{Context as _, anyhow};
use heliogram_tl::dynamic::Catalog;
use heliogram_tl::{layer, schema};

use super::Failure;

/// A schema and the number of its layer.
#[derive(Debug)]
pub(crate) struct Known<'s> {
    pub(crate) catalog: Catalog<'s>,
    pub(crate) layer: i32,
}

/// Which schema.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(next_help_heading = "Schema")]
pub(crate) struct SchemaOptions {
    /// Number of the API layer to speak [default: 222, or what the schema file's `// LAYER N` says]
    #[arg(long, value_name = "N")]
    layer: Option<i32>,
    /// A schema in TL, in place of the built-in one of layer 222.
    #[arg(long, value_name = "FILE")]
    schema: Option<PathBuf>,
}

impl SchemaOptions {
    /// Reads the schema file, if there is one; `text` is where its text stays.
    ///
    /// # Errors
    ///
    /// If it can't be read or parsed, or nothing says which layer it is of. `needs_schema` is whether anything is to
    /// be written or read by it: another layer has another schema.
    pub(crate) fn load<'s>(
        &self,
        text: &'s mut String,
        needs_schema: bool,
    ) -> Result<Known<'s>, Failure> {
        let Some(path) = &self.schema else {
            let layer = self.layer.unwrap_or(layer::LAYER);
            if needs_schema && layer != layer::LAYER {
                return Err(Failure::Usage(anyhow!(
                    "layer {layer} has a schema of its own: name it with --schema FILE, or call with --raw"
                )));
            }
            let catalog = Catalog::of_layer();
            return Ok(Known { catalog, layer });
        };
        let read = std::fs::read_to_string(path);
        *text = read
            .with_context(|| format!("{} can't be read", path.display()))
            .map_err(Failure::Local)?;
        let layer = self.layer.or_else(|| written_layer(text)).ok_or_else(|| {
            let path = path.display();
            Failure::Usage(anyhow!(
                "{path} has no line `// LAYER N`: name its layer with --layer N"
            ))
        })?;
        let parsed = schema::parse(text)
            .with_context(|| format!("{} is no schema", path.display()))
            .map_err(Failure::Usage)?;
        let catalog = Catalog::new(parsed);
        Ok(Known { catalog, layer })
    }
}

/// Finds `// LAYER 222`, as published schemas have it.
fn written_layer(text: &str) -> Option<i32> {
    let mut lines = text.lines();
    lines.find_map(|line| {
        let comment = line.trim().strip_prefix("//")?.trim_start();
        comment.strip_prefix("LAYER")?.trim().parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(options: &SchemaOptions, needs_schema: bool) -> Result<(i32, usize), String> {
        let mut text = String::new();
        let known = options.load(&mut text, needs_schema);
        known
            .map(|it| (it.layer, it.catalog.methods().count()))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn the_built_in_schema_is_of_layer_222_and_another_layer_needs_a_file_unless_raw() {
        let layer = |layer| SchemaOptions {
            layer,
            schema: None,
        };
        assert_eq!(load(&layer(None), true), Ok((222, 754)));
        assert_eq!(load(&layer(Some(222)), true), Ok((222, 754)));
        assert!(
            load(&layer(Some(221)), true)
                .unwrap_err()
                .contains("--schema")
        );
        assert_eq!(load(&layer(Some(221)), false), Ok((221, 754)));
    }

    #[test]
    fn a_schema_file_says_its_layer_or_the_command_line_does() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s.tl");
        let options = |layer| SchemaOptions {
            layer,
            schema: Some(path.clone()),
        };
        let write = |text: &str| std::fs::write(&path, text).unwrap();
        assert!(
            load(&options(Some(1)), true)
                .unwrap_err()
                .contains("can't be read")
        );
        write("---functions---\nget = Int;\n// LAYER 7\n");
        assert_eq!(load(&options(None), true), Ok((7, 1)));
        assert_eq!(load(&options(Some(8)), true), Ok((8, 1)));
        write("---functions---\nget = Int;\n");
        assert!(load(&options(None), true).unwrap_err().contains("--layer"));
        assert_eq!(load(&options(Some(8)), true), Ok((8, 1)));
        write("get = ");
        let error = load(&options(Some(8)), true).unwrap_err();
        assert!(error.contains("is no schema: line 1"), "{error}");
    }
}
