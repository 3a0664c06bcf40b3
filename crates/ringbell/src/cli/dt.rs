//! `ringbell dt`: a structure's layout.

use clap::Args;
use nt::layout::{self, Layout};
use nt::profile::TypeIndexEncoding;
use serde_json::json;
use view::windbg;

use super::Failure;
use super::options::{self, Format};
use super::output::Answer;

/// Arguments of `ringbell dt`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Structure, as in `CALLBACK_OBJECT`, `_KEVENT` or `nt!_OBJECT_HEADER`; without it the structures are listed
    #[arg(value_name = "TYPE")]
    type_name: Option<String>,
    /// Windows version
    #[arg(long, value_name = "PROFILE")]
    os: Option<String>,
    /// How the answer is written
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(super) fn run(arguments: &Arguments) -> Result<Answer, Failure> {
    let profile = options::profile(arguments.os.as_deref())?;
    let Some(name) = &arguments.type_name else { return Ok(list(arguments.format)) };
    let bare = name.rsplit('!').next().unwrap_or(name);
    let bare = bare.strip_prefix('_').unwrap_or(bare);
    let layout = nt::layout_for(bare, profile)
        .ok_or_else(|| Failure::unknown("type", name, names(), "`ringbell dt` lists the types"))?;
    if layout.name == "OBJECT_HEADER" && profile.typeindex_encoding.value == TypeIndexEncoding::Pointer {
        let message = format!(
            "the object header of `{}` is not modelled: it holds a type pointer where later systems hold an index",
            profile.name
        );
        return Err(Failure::new(message).hint("`--os nt6` has the oldest object header that is kept"));
    }
    Ok(match arguments.format {
        Format::Text => Answer::clean(windbg::structure(layout)),
        Format::Json => Answer::json(&json!({
            "name": format!("_{}", layout.nt_name()),
            "profile": profile.name,
            "size": format!("{:#x}", layout.size),
            "doc": plain(layout.doc),
            "fields": layout.named_fields().map(|field| json!({
                "name": field.name,
                "offset": format!("{:#x}", field.offset),
                "size": field.size,
                "type": windbg::type_name(field.type_name, field.size),
                "doc": plain(field.doc),
            })).collect::<Vec<_>>(),
        })),
    })
}

/// NT's names of the structures, each once, in the order of the modules.
fn names() -> impl Iterator<Item = &'static str> {
    layout::ALL.iter().filter(|layout| layout.nt_name() == layout.name).map(|layout| layout.name)
}

fn list(format: Format) -> Answer {
    let layouts: Vec<&Layout> = names().filter_map(layout::by_name).collect();
    match format {
        Format::Text => {
            let width = layouts.iter().map(|layout| layout.name.len()).max().unwrap_or(0);
            Answer::clean(
                layouts
                    .iter()
                    .map(|it| format!("{:<width$}  {}\n", it.name, first_sentence(&plain(it.doc))))
                    .collect(),
            )
        }
        Format::Json => Answer::json(&layouts.iter().map(|layout| layout.name).collect()),
    }
}

fn first_sentence(doc: &str) -> &str {
    doc.split_inclusive(". ").next().unwrap_or(doc).trim_end()
}

/// Takes the link brackets out of a documentation sentence.
fn plain(doc: &str) -> String {
    doc.replace("[`", "`").replace("`]", "`")
}
