//! The drivers that come with the command. Their sources are in `drivers/samples`.

/// A driver image carried in the program.
#[derive(Clone, Copy, Debug)]
pub struct Bundled {
    /// File name.
    pub name: &'static str,
    /// The file.
    pub image: &'static [u8],
}

/// Creates `\Callback\callbackbopin`, listens on it, leaves cleanly.
pub const LISTENER: Bundled =
    Bundled { name: "listener.sys", image: include_bytes!("../../../drivers/bin/listener.sys") };

/// Opens that object by name and rings it.
pub const RINGER: Bundled =
    Bundled { name: "ringer.sys", image: include_bytes!("../../../drivers/bin/ringer.sys") };
