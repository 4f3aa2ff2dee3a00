//! One field: its declaration, its way to the wire and back.

use heliogram_tl::schema::{Condition, Declaration, Field, Type};

use super::Lifetime;
use crate::model::{Model, RustType, on_bit, on_flags};
use crate::{Error, names};

/// Declares a field of a struct; a bit field is none.
pub(super) fn declaration<'a>(
    model: &Model<'a>,
    field: &Field<'a>,
    from: Option<&str>,
) -> Option<String> {
    let name = names::field_name(field.name);
    let ty = type_text(model, field.ty, from)?;
    if field.condition.is_some() && !field.is_flag() {
        return Some(format!("pub {name}: Option<{ty}>,\n"));
    }
    Some(format!("pub {name}: {ty},\n"))
}

/// Writes a field.
pub(super) fn write<'a>(
    model: &Model<'a>,
    item: &'a Declaration<'a>,
    field: &Field<'a>,
) -> Result<String, Error> {
    let name = names::field_name(field.name);
    let Some(ty) = model.rust_type(field.ty) else {
        return Ok(write_flags(item, field));
    };
    match (ty, field.condition) {
        (_, Some(_)) if field.is_flag() => Ok(String::new()),
        (RustType::Rest | RustType::Vector { boxed: false, .. }, Some(_)) => {
            Err(Error::Unsupported {
                name: item.name.to_owned(),
                what: "a conditional object or bare vector",
            })
        }
        (_, Some(condition)) => Ok(write_optional(item, &name, condition)),
        (RustType::Rest, None) => Ok(format!("writer.raw(self.{name});\n")),
        (RustType::Vector { boxed: false, .. }, None) => {
            Ok(format!("writer.bare_vector(&self.{name});\n"))
        }
        (_, None) => Ok(format!("self.{name}.write(writer);\n")),
    }
}

/// Reads a field into a variable of its name.
pub(super) fn read<'a>(model: &Model<'a>, item: &'a Declaration<'a>, field: &Field<'a>) -> String {
    let name = names::field_name(field.name);
    let Some(ty) = model.rust_type(field.ty) else {
        let is_used = on_flags(item, field.name).next().is_some();
        let unused = if is_used { "" } else { "_" };
        return format!("let {unused}{name} = reader.u32()?;\n");
    };
    let bound = model.bound(item.name, field.name);
    let len_max = match bound {
        Some(constant) => format!("crate::limits::{constant}"),
        None => "usize::MAX".to_owned(),
    };
    let value = match (ty, bound) {
        (RustType::Rest, _) => "reader.rest()".to_owned(),
        (RustType::Vector { boxed: false, .. }, _) => format!("reader.bare_vector({len_max})?"),
        (RustType::Vector { boxed: true, .. }, Some(_)) => format!("reader.vector({len_max})?"),
        _ => "Deserialize::read(reader)?".to_owned(),
    };
    let Some(Condition { flags, bit }) = field.condition else {
        return format!("let {name} = {value};\n");
    };
    let is_set = format!("{flags} & 1 << {bit} != 0");
    if field.is_flag() {
        return format!("let {name} = {is_set};\n");
    }
    format!("let {name} = if {is_set} {{ Some({value}) }} else {{ None }};\n")
}

/// Returns the Rust text of a type; a bit field has none.
fn type_text<'a>(model: &Model<'a>, ty: Type<'a>, from: Option<&str>) -> Option<String> {
    let with_lifetime =
        |inner| model.path(inner, from) + Lifetime::of(model.borrows(inner)).generic;
    Some(match model.rust_type(ty)? {
        RustType::Bare(inner) if inner.id.is_none() => with_lifetime(inner),
        RustType::Bare(inner) => format!("crate::Bare<{}>", with_lifetime(inner)),
        RustType::Boxed(name) => {
            let borrows = model
                .constructors(name)
                .iter()
                .any(|inner| model.borrows(inner));
            model.boxed_path(name, from) + Lifetime::of(borrows).generic
        }
        RustType::Bytes | RustType::Rest => "&'a [u8]".to_owned(),
        RustType::Primitive(primitive) => primitive.rust.to_owned(),
        RustType::Vector { element, .. } => {
            format!("crate::Vector<'a, {}>", type_text(model, element, from)?)
        }
    })
}

/// Sets each bit of which any field has a value.
fn write_flags(item: &Declaration<'_>, flags: &Field<'_>) -> String {
    let mut terms = Vec::new();
    for bit in 0..32 {
        let is_present = |field: &Field<'_>| {
            let name = names::field_name(field.name);
            let test = if field.is_flag() { "" } else { ".is_some()" };
            format!("self.{name}{test}")
        };
        let fields = on_bit(
            item,
            Condition {
                flags: flags.name,
                bit,
            },
        );
        let tests = fields.map(is_present).collect::<Vec<_>>();
        if !tests.is_empty() {
            terms.push(format!("u32::from({}) << {bit}", tests.join(" || ")));
        }
    }
    let value = if terms.is_empty() {
        "0".to_owned()
    } else {
        terms.join(" | ")
    };
    let name = flags.name;
    format!("let {name}: u32 = {value};\n{name}.write(writer);\n")
}

/// Of several fields on one bit, those without a value are written empty if another has one.
fn write_optional<'a>(item: &'a Declaration<'a>, name: &str, condition: Condition<'a>) -> String {
    let Condition { flags, bit } = condition;
    if on_bit(item, condition).count() > 1 {
        return format!(
            "if {flags} & 1 << {bit} != 0 {{ self.{name}.unwrap_or_default().write(writer); }}\n"
        );
    }
    format!("if let Some(value) = self.{name} {{ value.write(writer); }}\n")
}
