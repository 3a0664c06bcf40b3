//! Structures, their offsets and their field tables from one text.
//!
//! [`layout!`] takes a C structure with the offset of every field and yields the `#[repr(C)]` struct, compile-time
//! assertions of its size and of each offset, and a [`Layout`] that tools print (`dt`) or walk memory images with.
//! A wrong offset therefore does not compile, and a printed offset cannot differ from the one that is used.
//!
//! Live pointers are raw pointers (`*mut T`), so the structs describe the machine they run in: a 64-bit one. Readers
//! of memory images use the same tables with `u64` addresses and never build the structs.

use crate::profile::Profile;

mod registry;
pub use registry::ALL;

/// Marks plain data: every bit pattern of the type's size is a valid value.
///
/// This is what makes reading such a value from memory that a driver may have written sound. It says nothing about
/// padding bytes, so it is no licence to look at a value as bytes.
///
/// # Safety
///
/// The type must be inhabited by every bit pattern: no `bool`, `char`, enum, reference or `NonNull` inside.
pub unsafe trait Pod: Copy + 'static {}

macro_rules! pod {
    ($($t:ty),* $(,)?) => { $(
        // SAFETY: the type is an integer or raw pointer without invalid bit patterns.
        unsafe impl Pod for $t {}
    )* };
}
pod!(u8, u16, u32, u64, u128, usize, i8, i16, i32, i64, i128, isize);

// SAFETY: an array of plain data has no bytes of its own.
unsafe impl<T: Pod, const N: usize> Pod for [T; N] {}
// SAFETY: a thin raw pointer may hold any address; following it is a separate, unsafe step.
unsafe impl<T: 'static> Pod for *mut T {}
// SAFETY: as for `*mut T`.
unsafe impl<T: 'static> Pod for *const T {}
/// Describes one field of a structure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Field name as NT spells it; fillers start with `_`.
    pub name: &'static str,
    /// Distance in bytes from the start of the structure.
    pub offset: usize,
    /// Size in bytes.
    pub size: usize,
    /// Type as written in this crate.
    pub type_name: &'static str,
    /// One sentence about the field, or the empty string.
    pub doc: &'static str,
}

impl Field {
    /// Tells whether the field only fills a gap (padding, or members this crate does not model).
    #[must_use]
    pub const fn is_filler(&self) -> bool {
        matches!(self.name.as_bytes(), [b'_', ..])
    }
}

/// Describes one structure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Type name in this crate; older generations of a structure end in `_V1`, `_V2`.
    pub name: &'static str,
    /// Size in bytes.
    pub size: usize,
    /// What the structure is.
    pub doc: &'static str,
    /// The fields in order of their offsets, fillers included.
    pub fields: &'static [Field],
}

impl Layout {
    /// Finds a field by its exact name.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// Gives NT's name of the structure: [`Layout::name`] without the mark of its generation.
    #[must_use]
    pub fn nt_name(&self) -> &'static str {
        match self.name.rsplit_once("_V") {
            Some((base, digits)) if digits.len() == 1 && digits.as_bytes()[0].is_ascii_digit() => base,
            _ => self.name,
        }
    }

    /// Lists the fields that carry meaning, in order.
    pub fn named_fields(&self) -> impl Iterator<Item = &'static Field> + use<> {
        self.fields.iter().filter(|field| !field.is_filler())
    }
}

/// Finds a layout by its exact type name, of whatever Windows generation.
#[must_use]
pub fn by_name(name: &str) -> Option<&'static Layout> {
    ALL.iter().copied().find(|layout| layout.name == name)
}

/// Finds the layout that a structure has on the Windows version `profile`.
///
/// The name is NT's, compared without regard to case and to a leading underscore (debuggers print `_KEVENT`).
/// A name that already carries a generation (`CALLBACK_OBJECT_V1`) is answered as it stands.
#[must_use]
pub fn layout_for(name: &str, profile: &Profile) -> Option<&'static Layout> {
    let name = name.strip_prefix('_').unwrap_or(name);
    let found = ALL.iter().copied().find(|layout| layout.name.eq_ignore_ascii_case(name))?;
    let generation = match found.name {
        "ALPC_PORT" => profile.alpc_port_layout(),
        "CALLBACK_OBJECT" => profile.callback_object_layout(),
        "OBJECT_DIRECTORY" => profile.object_directory_layout(),
        "OBJECT_TYPE" => profile.object_type_layout(),
        "OBJECT_TYPE_INITIALIZER" => profile.object_type_initializer_layout(),
        _ => found,
    };
    Some(generation)
}

/// Computes the address of the structure that contains a field, keeping the pointer's provenance.
///
/// `ptr` must come from a pointer to the whole structure (or to the allocation around it), not from a reference to
/// the field alone. The macro expands to an unsafe operation and therefore stands inside `unsafe`.
///
/// ```
/// use nt::{CALLBACK_REGISTRATION, LIST_ENTRY, containing_record};
/// # use ringbell_nt as nt;
///
/// let mut registration = core::mem::MaybeUninit::<CALLBACK_REGISTRATION>::uninit();
/// let whole = registration.as_mut_ptr();
/// // SAFETY: `whole` points to a registration; nothing is read.
/// let link: *mut LIST_ENTRY = unsafe { &raw mut (*whole).Link };
/// // SAFETY: `link` was made from the pointer to the whole registration.
/// let back = unsafe { containing_record!(link, CALLBACK_REGISTRATION, Link) };
/// assert_eq!(whole, back);
/// ```
///
/// # Safety
///
/// As for [`byte_sub`](https://doc.rust-lang.org/std/primitive.pointer.html#method.byte_sub): the containing
/// structure must lie in the same allocation.
#[macro_export]
macro_rules! containing_record {
    ($ptr:expr, $container:ty, $($field:tt).+) => {
        $crate::layout::container_of::<_, $container>($ptr, ::core::mem::offset_of!($container, $($field).+))
    };
}

/// Steps back `offset` bytes from a field to its container. [`containing_record!`] computes the offset.
///
/// # Safety
///
/// `field` must be `offset` bytes into the allocation it points to, or more, and its provenance must cover both.
#[must_use]
pub const unsafe fn container_of<F, C>(field: *mut F, offset: usize) -> *mut C {
    // SAFETY: the caller promises that the bytes before `field` belong to the same allocation.
    unsafe { field.byte_sub(offset) }.cast::<C>()
}

/// Defines layout-exact structures. See the [module](crate::layout) for what it yields.
macro_rules! layout {
    ($(
        $(#[doc = $sdoc:literal])*
        pub struct $name:ident : $size:literal {
            $( $(#[doc = $fdoc:literal])* $offset:literal $field:ident : $ty:ty ),* $(,)?
        }
    )*) => {
        $(
            $(#[doc = $sdoc])*
            #[doc = concat!("\n\nSize `", stringify!($size), "`.")]
            #[repr(C)]
            #[derive(Clone, Copy, Debug)]
            pub struct $name {
                $(
                    $(#[doc = $fdoc])*
                    #[doc = concat!("\n\nOffset `", stringify!($offset), "`.")]
                    pub $field: $ty,
                )*
            }

            const _: () = assert!(size_of::<$name>() == $size, concat!("size of ", stringify!($name)));
            $(
                const _: () = assert!(
                    core::mem::offset_of!($name, $field) == $offset,
                    concat!("offset of ", stringify!($name), "::", stringify!($field))
                );
            )*

            impl $name {
                /// Tells every field's offset, size and type.
                pub const LAYOUT: $crate::layout::Layout = $crate::layout::Layout {
                    name: stringify!($name),
                    size: $size,
                    doc: concat!("", $($sdoc),*).trim_ascii(),
                    fields: &[$(
                        $crate::layout::Field {
                            name: stringify!($field),
                            offset: $offset,
                            size: size_of::<$ty>(),
                            type_name: stringify!($ty),
                            doc: concat!("", $($fdoc),*).trim_ascii(),
                        },
                    )*],
                };
            }

            const _: () = {
                const fn require<T: $crate::layout::Pod>() {}
                $( require::<$ty>(); )*
            };
            // SAFETY: the block above requires every field to be plain data.
            unsafe impl $crate::layout::Pod for $name {}
        )*

        /// Every layout of this module, for the registry.
        pub(crate) const LAYOUTS: &[&$crate::layout::Layout] = &[$(&$name::LAYOUT),*];
    };
}
pub(crate) use layout;
