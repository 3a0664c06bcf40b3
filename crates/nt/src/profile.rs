//! What differs between Windows versions, as data.
//!
//! Each preset of the table in `profile/presets.rs` says for one version of Windows what its kernel does where
//! kernels differ. Everything not mentioned is the same on all of them. What was not observed is marked: see
//! [`Certainty`].

use crate::hash::NameHash;
use crate::layout::Layout;
use crate::ob::{
    OBJECT_DIRECTORY, OBJECT_DIRECTORY_V1, OBJECT_DIRECTORY_V2, OBJECT_TYPE, OBJECT_TYPE_INITIALIZER,
    OBJECT_TYPE_INITIALIZER_V1, OBJECT_TYPE_V1,
};
use crate::{ALPC_PORT, ALPC_PORT_V1, ALPC_PORT_V2, ALPC_PORT_V3, CALLBACK_OBJECT, CALLBACK_OBJECT_V1};

mod presets;

/// How well a fact is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Certainty {
    /// Nobody looked; the value is a guess and nothing may rely on it.
    Assumed,
    /// Follows from observed facts, not itself observed.
    Inferred,
    /// Observed in a kernel of that version, or documented.
    Known,
}

/// A fact and how well it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known<T> {
    /// The value to act on.
    pub value: T,
    /// How well it is known.
    pub certainty: Certainty,
}

impl<T> Known<T> {
    /// An observed or documented value.
    pub const fn certain(value: T) -> Self {
        Self { value, certainty: Certainty::Known }
    }

    /// A value that follows from observed ones.
    pub const fn inferred(value: T) -> Self {
        Self { value, certainty: Certainty::Inferred }
    }

    /// A guess.
    pub const fn assumed(value: T) -> Self {
        Self { value, certainty: Certainty::Assumed }
    }

    /// Tells whether the value is only a guess.
    pub const fn is_assumed(&self) -> bool {
        matches!(self.certainty, Certainty::Assumed)
    }
}

/// Pool that nonpaged objects and registrations come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NonPagedKind {
    /// Executable, as before Windows 8.
    NonPagedPool,
    /// Not executable.
    NonPagedPoolNx,
}

impl NonPagedKind {
    /// Gives the `POOL_TYPE`.
    #[must_use]
    pub const fn pool_type(self) -> u32 {
        match self {
            Self::NonPagedPool => crate::NonPagedPool,
            Self::NonPagedPoolNx => crate::NonPagedPoolNx,
        }
    }
}

/// How an object header names its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TypeIndexEncoding {
    /// A pointer instead of an index.
    Pointer,
    /// The index itself.
    Plain,
    /// The index mixed with a cookie and the header's address.
    Cookie,
}

/// Generation of `OBJECT_DIRECTORY`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DirectoryLayout {
    /// [`OBJECT_DIRECTORY_V1`].
    V1,
    /// [`OBJECT_DIRECTORY_V2`].
    V2,
    /// [`OBJECT_DIRECTORY`].
    V3,
}

/// What creating a callback object answers when the name belongs to an object of another type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WrongTypeCreate {
    /// `STATUS_OBJECT_TYPE_MISMATCH`.
    TypeMismatch,
    /// `STATUS_OBJECT_NAME_COLLISION`, or `STATUS_OBJECT_TYPE_MISMATCH` with `OBJ_OPENIF`.
    CollisionUnlessOpenIf,
}

/// What a notify at DISPATCH_LEVEL does with the object's lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NotifyDispatchMode {
    /// Keeps it across all calls.
    Held,
    /// Drops it around each call, as at lower levels.
    Dropped,
}

/// One version of Windows, or of ReactOS.
#[derive(Clone, Copy, Debug)]
pub struct Profile {
    /// Short name, as `--os` takes it.
    pub name: &'static str,
    /// Name of the product.
    pub product: &'static str,
    /// Major version that `RtlGetVersion` reports.
    pub major: u32,
    /// Minor version.
    pub minor: u32,
    /// Build number.
    pub build: u32,
    /// Name of the service pack, or the empty string.
    pub service_pack: &'static str,
    /// Number of the service pack.
    pub service_pack_major: u16,
    /// Bytes of a callback object: `0x38`, or `0x28` before Windows 8.1.
    pub object_size: Known<usize>,
    /// There is a list of all callback objects.
    pub has_global_list: Known<bool>,
    /// Callback objects that the executive creates, in order.
    pub builtin_names: Known<&'static [&'static str]>,
    /// `ExCreateCallback` makes its transient handle a kernel handle.
    pub force_kernel_handle: Known<bool>,
    /// Names are looked up in the current server silo.
    pub silo_aware: Known<bool>,
    /// Object bodies come zeroed.
    pub zero_object_pool: Known<bool>,
    /// Registrations come zeroed.
    pub zero_registration_pool: Known<bool>,
    /// Pool tag of callback objects.
    pub object_pool_tag: Known<u32>,
    /// Pool of objects and registrations.
    pub nonpaged_kind: Known<NonPagedKind>,
    /// How headers name their type.
    pub typeindex_encoding: Known<TypeIndexEncoding>,
    /// Generation of the directory structure.
    pub directory_layout: Known<DirectoryLayout>,
    /// Hash of names.
    pub hash: Known<NameHash>,
    /// Object attributes that are accepted.
    pub valid_attribute_mask: Known<u32>,
    /// Answer to creating over an object of another type.
    pub wrong_type_create_status: Known<WrongTypeCreate>,
    /// What a notify at DISPATCH_LEVEL does with the lock.
    pub notify_dispatch_mode: Known<NotifyDispatchMode>,
    /// The event of unregister waiters is reset before the lock is released.
    pub unregister_reset_under_lock: Known<bool>,
    /// The type Callback uses the default object for waits.
    pub use_default_object: Known<bool>,
    /// Bytes of the type initializer: `0x78`, or `0x70` up to Windows 7.
    pub type_initializer_size: Known<usize>,
    /// Bytes of a pointer.
    pub pointer_width: Known<usize>,
}

impl Profile {
    /// Every preset, oldest first.
    pub const ALL: &[&Self] = presets::ALL;

    /// The preset used when nothing else is asked for, `win11-24h2`.
    pub const DEFAULT: &Self = &presets::WIN11_24H2;

    /// ReactOS, which follows NT 5.2.
    pub const ROS: &Self = &presets::ROS;
    /// Windows 7.
    pub const NT6: &Self = &presets::NT6;
    /// Windows 8.
    pub const WIN8: &Self = &presets::WIN8;
    /// Windows 8.1.
    pub const WIN81: &Self = &presets::WIN81;
    /// Windows 10 22H2.
    pub const WIN10: &Self = &presets::WIN10;
    /// Windows 11 22H2, the generation with seven built-in objects.
    pub const WIN11: &Self = &presets::WIN11;
    /// Windows 11 24H2.
    pub const WIN11_24H2: &Self = &presets::WIN11_24H2;

    /// Finds a preset by its short name, without regard to case.
    ///
    /// ```
    /// # use ringbell_nt as nt;
    /// assert_eq!(nt::Profile::by_name("win81").unwrap().build, 9600);
    /// assert!(nt::Profile::by_name("win95").is_none());
    /// ```
    #[must_use]
    pub fn by_name(name: &str) -> Option<&'static Self> {
        Self::ALL.iter().copied().find(|profile| profile.name.eq_ignore_ascii_case(name))
    }

    /// Gives the value of the exported variable `NtBuildNumber`: the build, marked as a free build.
    #[must_use]
    pub const fn nt_build_number(&self) -> u32 {
        0xF000_0000 | self.build
    }

    /// Gives the layout of `CALLBACK_OBJECT`.
    #[must_use]
    pub const fn callback_object_layout(&self) -> &'static Layout {
        if self.object_size.value == size_of::<CALLBACK_OBJECT>() {
            &CALLBACK_OBJECT::LAYOUT
        } else {
            &CALLBACK_OBJECT_V1::LAYOUT
        }
    }

    /// Gives the layout of `ALPC_PORT`. Before Windows 7 it is that of Windows 7, whose predecessors were not examined.
    #[must_use]
    pub const fn alpc_port_layout(&self) -> &'static Layout {
        match (self.major, self.minor) {
            (0..=5, _) | (6, 0 | 1) => &ALPC_PORT_V1::LAYOUT,
            (6, 2) => &ALPC_PORT_V2::LAYOUT,
            (6, _) => &ALPC_PORT_V3::LAYOUT,
            _ => &ALPC_PORT::LAYOUT,
        }
    }

    /// Gives the layout of `OBJECT_DIRECTORY`.
    #[must_use]
    pub const fn object_directory_layout(&self) -> &'static Layout {
        match self.directory_layout.value {
            DirectoryLayout::V1 => &OBJECT_DIRECTORY_V1::LAYOUT,
            DirectoryLayout::V2 => &OBJECT_DIRECTORY_V2::LAYOUT,
            DirectoryLayout::V3 => &OBJECT_DIRECTORY::LAYOUT,
        }
    }

    /// Gives the layout of `OBJECT_TYPE_INITIALIZER`.
    #[must_use]
    pub const fn object_type_initializer_layout(&self) -> &'static Layout {
        if self.type_initializer_size.value == size_of::<OBJECT_TYPE_INITIALIZER>() {
            &OBJECT_TYPE_INITIALIZER::LAYOUT
        } else {
            &OBJECT_TYPE_INITIALIZER_V1::LAYOUT
        }
    }

    /// Gives the layout of `OBJECT_TYPE`.
    #[must_use]
    pub const fn object_type_layout(&self) -> &'static Layout {
        if self.type_initializer_size.value == size_of::<OBJECT_TYPE_INITIALIZER>() {
            &OBJECT_TYPE::LAYOUT
        } else {
            &OBJECT_TYPE_V1::LAYOUT
        }
    }

    /// Lists every switch with its value in words and its certainty, in a fixed order, for people to read.
    pub fn switches(&self) -> impl Iterator<Item = Switch<'_>> {
        self.switch_table().into_iter()
    }
}

/// One switch of a [`Profile`], ready to print.
#[derive(Clone, Copy)]
pub struct Switch<'a> {
    /// Name of the switch.
    pub name: &'static str,
    /// Its value, printed with `{:?}` (numbers with `{:#x?}`).
    pub value: &'a dyn core::fmt::Debug,
    /// How well it is known.
    pub certainty: Certainty,
}

macro_rules! switch_table {
    ($count:literal: $($name:ident),* $(,)?) => {
        impl Profile {
            fn switch_table(&self) -> [Switch<'_>; $count] {
                [$( Switch {
                    name: stringify!($name),
                    value: &self.$name.value,
                    certainty: self.$name.certainty,
                } ),*]
            }
        }
    };
}

switch_table! {
    19: object_size,
    has_global_list,
    builtin_names,
    force_kernel_handle,
    silo_aware,
    zero_object_pool,
    zero_registration_pool,
    object_pool_tag,
    nonpaged_kind,
    typeindex_encoding,
    directory_layout,
    hash,
    valid_attribute_mask,
    wrong_type_create_status,
    notify_dispatch_mode,
    unregister_reset_under_lock,
    use_default_object,
    type_initializer_size,
    pointer_width,
}
