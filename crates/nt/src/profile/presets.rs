//! The presets. Each names its predecessor and says what changed.

use super::{
    DirectoryLayout, Known, NonPagedKind, NotifyDispatchMode, Profile, TypeIndexEncoding, WrongTypeCreate,
};
use crate::hash::NameHash;
use crate::mm::tag;
use crate::ob::{
    OBJ_VALID_ATTRIBUTES, OBJ_VALID_ATTRIBUTES_V1, OBJECT_TYPE_INITIALIZER, OBJECT_TYPE_INITIALIZER_V1,
};
use crate::{CALLBACK_OBJECT, CALLBACK_OBJECT_V1};

pub(super) const ALL: &[&Profile] = &[&ROS, &NT6, &WIN8, &WIN81, &WIN10, &WIN11, &WIN11_24H2];

/// NT 5: the three that have always been there.
const BUILTIN_NT5: &[&str] = &["SetSystemTime", "SetSystemState", "PowerState"];
/// Vista documents ProcessorAdd; whether EnlightenmentState and Phase1InitComplete exist there was not observed.
const BUILTIN_NT6: &[&str] = &["SetSystemTime", "SetSystemState", "PowerState", "ProcessorAdd"];
/// The recorded order of creation, seven objects.
const BUILTIN_7: &[&str] = &[
    "EnlightenmentState",
    "SetSystemTime",
    "SetSystemState",
    "PowerState",
    "ProcessorAdd",
    "Phase1InitComplete",
    "SeImageVerificationDriverInfo",
];
/// The eighth is known to exist; that it comes last is assumed.
const BUILTIN_8: &[&str] = &[
    "EnlightenmentState",
    "SetSystemTime",
    "SetSystemState",
    "PowerState",
    "ProcessorAdd",
    "Phase1InitComplete",
    "SeImageVerificationDriverInfo",
    "SeImageVerificationBlockInfo",
];

pub(super) static ROS: Profile = Profile {
    name: "ros",
    product: "ReactOS (NT 5.2)",
    major: 5,
    minor: 2,
    build: 3790,
    service_pack: "Service Pack 2",
    service_pack_major: 2,
    object_size: Known::certain(size_of::<CALLBACK_OBJECT_V1>()),
    has_global_list: Known::certain(false),
    builtin_names: Known::certain(BUILTIN_NT5),
    force_kernel_handle: Known::certain(false),
    silo_aware: Known::certain(false),
    zero_object_pool: Known::certain(false),
    zero_registration_pool: Known::certain(false),
    object_pool_tag: Known::certain(tag::CALL_PROTECTED),
    nonpaged_kind: Known::certain(NonPagedKind::NonPagedPool),
    typeindex_encoding: Known::certain(TypeIndexEncoding::Pointer),
    directory_layout: Known::inferred(DirectoryLayout::V1),
    hash: Known::certain(NameHash::PerChar),
    valid_attribute_mask: Known::inferred(OBJ_VALID_ATTRIBUTES_V1),
    wrong_type_create_status: Known::certain(WrongTypeCreate::CollisionUnlessOpenIf),
    notify_dispatch_mode: Known::certain(NotifyDispatchMode::Dropped),
    unregister_reset_under_lock: Known::certain(false),
    use_default_object: Known::certain(false),
    type_initializer_size: Known::inferred(size_of::<OBJECT_TYPE_INITIALIZER_V1>()),
    pointer_width: Known::certain(8),
};

pub(super) static NT6: Profile = Profile {
    name: "nt6",
    product: "Windows 7",
    major: 6,
    minor: 1,
    build: 7601,
    service_pack: "Service Pack 1",
    service_pack_major: 1,
    builtin_names: Known::assumed(BUILTIN_NT6),
    force_kernel_handle: Known::assumed(false),
    object_pool_tag: Known::inferred(tag::CALL_PROTECTED),
    typeindex_encoding: Known::certain(TypeIndexEncoding::Plain),
    directory_layout: Known::certain(DirectoryLayout::V1),
    wrong_type_create_status: Known::inferred(WrongTypeCreate::CollisionUnlessOpenIf),
    notify_dispatch_mode: Known::inferred(NotifyDispatchMode::Held),
    unregister_reset_under_lock: Known::inferred(true),
    use_default_object: Known::inferred(true),
    type_initializer_size: Known::certain(size_of::<OBJECT_TYPE_INITIALIZER_V1>()),
    ..ROS
};

pub(super) static WIN8: Profile = Profile {
    name: "win8",
    product: "Windows 8",
    major: 6,
    minor: 2,
    build: 9200,
    service_pack: "",
    service_pack_major: 0,
    builtin_names: Known::assumed(BUILTIN_7),
    force_kernel_handle: Known::assumed(true),
    object_pool_tag: Known::certain(tag::CALL),
    nonpaged_kind: Known::certain(NonPagedKind::NonPagedPoolNx),
    valid_attribute_mask: Known::assumed(OBJ_VALID_ATTRIBUTES_V1),
    wrong_type_create_status: Known::assumed(WrongTypeCreate::CollisionUnlessOpenIf),
    notify_dispatch_mode: Known::certain(NotifyDispatchMode::Held),
    unregister_reset_under_lock: Known::certain(true),
    type_initializer_size: Known::inferred(size_of::<OBJECT_TYPE_INITIALIZER>()),
    ..NT6
};

pub(super) static WIN81: Profile = Profile {
    name: "win81",
    product: "Windows 8.1",
    minor: 3,
    build: 9600,
    object_size: Known::certain(size_of::<CALLBACK_OBJECT>()),
    has_global_list: Known::certain(true),
    builtin_names: Known::certain(BUILTIN_7),
    force_kernel_handle: Known::certain(true),
    silo_aware: Known::inferred(false),
    valid_attribute_mask: Known::inferred(OBJ_VALID_ATTRIBUTES),
    wrong_type_create_status: Known::certain(WrongTypeCreate::TypeMismatch),
    use_default_object: Known::certain(true),
    type_initializer_size: Known::certain(size_of::<OBJECT_TYPE_INITIALIZER>()),
    ..WIN8
};

pub(super) static WIN10: Profile = Profile {
    name: "win10",
    product: "Windows 10 22H2",
    major: 10,
    minor: 0,
    build: 19045,
    silo_aware: Known::inferred(true),
    zero_registration_pool: Known::inferred(true),
    typeindex_encoding: Known::certain(TypeIndexEncoding::Cookie),
    directory_layout: Known::certain(DirectoryLayout::V3),
    hash: Known::certain(NameHash::Fast4),
    valid_attribute_mask: Known::certain(OBJ_VALID_ATTRIBUTES),
    ..WIN81
};

pub(super) static WIN11: Profile =
    Profile { name: "win11", product: "Windows 11 22H2", build: 22621, ..WIN10 };

pub(super) static WIN11_24H2: Profile = Profile {
    name: "win11-24h2",
    product: "Windows 11 24H2",
    build: 26100,
    builtin_names: Known::assumed(BUILTIN_8),
    silo_aware: Known::certain(true),
    zero_object_pool: Known::certain(true),
    zero_registration_pool: Known::certain(true),
    ..WIN11
};
