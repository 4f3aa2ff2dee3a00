//! The struct of a constructor or a method.

use heliogram_tl::schema::{Declaration, Field, Kind};

use super::{Lifetime, field_text, fields, hex};
use crate::model::Model;
use crate::{Error, names};

/// Makes the struct and what it implements.
pub(super) fn structure<'a>(
    model: &Model<'a>,
    item: &'a Declaration<'a>,
    from: Option<&str>,
) -> Result<String, Error> {
    let name = names::type_name(item.name);
    let lifetime = Lifetime::of(model.borrows(item));
    let hides = item.fields.iter().any(is_secret);
    let derives = derives(&[
        ("Debug", !hides),
        ("Default", model.has_default(item)),
        ("Eq", model.is_eq(item)),
    ]);
    let declaration = declaration_text(item);
    let fields = each(item, |field| fields::declaration(model, field, from));
    let body = if fields.is_empty() {
        ";".to_owned()
    } else {
        format!("{} {{\n{fields}}}", lifetime.generic)
    };
    let mut out = format!(
        r"
/// `{declaration}`
#[derive(Clone, Copy, {derives}PartialEq)]
pub struct {name}{body}
"
    );
    if hides {
        out += &redacting_debug(item, &name, &lifetime);
    }
    out += &bare_impls(model, item, &name, &lifetime)?;
    out += &boxed_impls(item, &name, &lifetime);
    Ok(out)
}

fn bare_impls<'a>(
    model: &Model<'a>,
    item: &'a Declaration<'a>,
    name: &str,
    lifetime: &Lifetime,
) -> Result<String, Error> {
    let Lifetime {
        generic,
        elided,
        name: lifetime,
    } = lifetime;
    let writes = item
        .fields
        .iter()
        .map(|field| fields::write(model, item, field));
    let writes = writes.collect::<Result<String, _>>()?;
    let reads = each(item, |field| Some(fields::read(model, item, field)));
    let value = value(item);
    let (bytes, fixed) = model.size(item);
    let unused = if item.fields.is_empty() { "_" } else { "" };
    Ok(format!(
        r"
impl SerializeBare for {name}{elided} {{
    fn write_bare(&self, {unused}writer: &mut Writer) {{
        {writes}
    }}
}}

impl{generic} DeserializeBare<{lifetime}> for {name}{generic} {{
    const BYTES_MIN: usize = {bytes};
    const FIXED: bool = {fixed};

    fn read_bare({unused}reader: &mut Reader<{lifetime}>) -> Result<Self, TlError> {{
        {reads}
        Ok({value})
    }}
}}
"
    ))
}

fn boxed_impls(item: &Declaration<'_>, name: &str, lifetime: &Lifetime) -> String {
    let Lifetime {
        generic,
        elided,
        name: lifetime,
    } = lifetime;
    let (constant, write_id, read) = match item.id {
        Some(id) => (
            id_constant(id, name, elided),
            "writer.u32(Self::ID);",
            "reader.expect_id(Self::ID)?; reader.nested(Self::read_bare)",
        ),
        None => (String::new(), "", "Self::read_bare(reader)"),
    };
    format!(
        r"
{constant}
impl Serialize for {name}{elided} {{
    fn write(&self, writer: &mut Writer) {{
        {write_id}
        self.write_bare(writer);
    }}
}}

impl{generic} Deserialize<{lifetime}> for {name}{generic} {{
    fn read(reader: &mut Reader<{lifetime}>) -> Result<Self, TlError> {{
        {read}
    }}
}}
"
    )
}

fn id_constant(id: u32, name: &str, elided: &str) -> String {
    let id = hex(id);
    format!(
        r"
impl {name}{elided} {{
    /// Constructor id.
    pub const ID: u32 = {id};
}}
"
    )
}

/// Returns the expression that puts the fields together.
fn value(item: &Declaration<'_>) -> String {
    let is_kept = |field: &&Field<'_>| field.ty.kind() != Kind::Flags;
    let kept = item.fields.iter().filter(is_kept);
    let names = kept
        .map(|field| names::field_name(field.name))
        .collect::<Vec<_>>();
    if names.is_empty() {
        return "Self".to_owned();
    }
    format!("Self {{ {} }}", names.join(", "))
}

fn redacting_debug(item: &Declaration<'_>, name: &str, lifetime: &Lifetime) -> String {
    let elided = lifetime.elided;
    let fields = each(item, |field| {
        let value = if is_secret(field) {
            "&format_args!(\"[redacted]\")".to_owned()
        } else {
            format!("&self.{}", names::field_name(field.name))
        };
        Some(format!(".field(\"{}\", {value})\n", field.name))
    });
    format!(
        r#"
impl std::fmt::Debug for {name}{elided} {{
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {{
        f.debug_struct("{name}")
            {fields}
            .finish()
    }}
}}
"#
    )
}

/// Tells whether a value must not be shown: the only `int256` of the protocol is the new nonce of a key exchange.
fn is_secret(field: &Field<'_>) -> bool {
    field.ty.text() == "int256"
}

fn derives(wanted: &[(&str, bool)]) -> String {
    let wanted = wanted.iter().filter(|(_, wanted)| *wanted);
    wanted.map(|(name, _)| format!("{name}, ")).collect()
}

fn declaration_text(item: &Declaration<'_>) -> String {
    let id = item.id.map(|id| format!("#{id:08x}")).unwrap_or_default();
    let generics = item.generics.iter().map(|name| format!(" {{{name}:Type}}"));
    let generics = generics.collect::<String>();
    let fields = each(item, |field| Some(format!(" {}", field_text(field))));
    format!("{}{id}{generics}{fields} = {}", item.name, item.result)
}

fn each<'a>(item: &'a Declaration<'a>, text: impl Fn(&Field<'a>) -> Option<String>) -> String {
    item.fields.iter().filter_map(text).collect()
}
