//! The enum of a type with several constructors.

use heliogram_tl::schema::Declaration;

use super::Lifetime;
use crate::model::Model;
use crate::names;

/// Makes the enum and what it implements.
pub(super) fn enumeration<'a>(
    model: &Model<'a>,
    tl_name: &str,
    constructors: &[&'a Declaration<'a>],
    from: Option<&str>,
) -> String {
    let name = model.enum_name(tl_name);
    let Lifetime {
        generic,
        elided,
        name: lifetime,
    } = Lifetime::of(constructors.iter().any(|item| model.borrows(item)));
    let is_eq = constructors.iter().all(|item| model.is_eq(item));
    let eq = if is_eq { "Eq, " } else { "" };
    let each = |text: &dyn Fn(&str, &str) -> String| {
        let of = |item: &&'a Declaration<'a>| {
            text(&names::type_name(item.name), &model.path(item, from))
        };
        constructors.iter().map(of).collect::<String>()
    };
    let writes = each(&|variant, _| format!("Self::{variant}(value) => value.write(writer),\n"));
    let reads = each(&|variant, path| {
        format!("{path}::ID => {path}::read(reader).map(Self::{variant}),\n")
    });
    let inner = |item: &&'a Declaration<'a>| {
        let generic = Lifetime::of(model.borrows(item)).generic;
        let variant = names::type_name(item.name);
        (item.name, variant, model.path(item, from) + generic)
    };
    let inner = constructors.iter().map(inner).collect::<Vec<_>>();
    let variants = inner
        .iter()
        .map(|(tl_name, variant, inner)| format!("/// `{tl_name}`\n{variant}({inner}),\n"))
        .collect::<String>();
    let froms = inner
        .iter()
        .map(|(_, variant, inner)| from_impl(&name, generic, variant, inner))
        .collect::<String>();
    format!(
        r"
/// The type `{tl_name}`: one of its constructors.
#[derive(Clone, Copy, Debug, {eq}PartialEq)]
pub enum {name}{generic} {{
    {variants}
}}

impl Serialize for {name}{elided} {{
    fn write(&self, writer: &mut Writer) {{
        match self {{
            {writes}
        }}
    }}
}}

impl{generic} Deserialize<{lifetime}> for {name}{generic} {{
    fn read(reader: &mut Reader<{lifetime}>) -> Result<Self, TlError> {{
        match reader.peek_id().ok_or(TlError::UnexpectedEnd)? {{
            {reads}
            id => Err(TlError::UnexpectedId {{ id }}),
        }}
    }}
}}
{froms}"
    )
}

fn from_impl(name: &str, generic: &str, variant: &str, inner: &str) -> String {
    format!(
        r"
impl{generic} From<{inner}> for {name}{generic} {{
    fn from(value: {inner}) -> Self {{
        Self::{variant}(value)
    }}
}}
"
    )
}
