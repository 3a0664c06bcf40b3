use std::vec;

use nt::{
    ACCESS_DENIED_ACE_TYPE, CALLBACK_MAPPING, DELETE, DIRECTORY_MAPPING, GENERIC_ALL, MAXIMUM_ALLOWED,
    Profile, READ_CONTROL, SE_CREATE_PERMANENT_PRIVILEGE, SE_DACL_PRESENT, SECURITY_QUALITY_OF_SERVICE,
    STATUS_ACCESS_DENIED, STATUS_BAD_IMPERSONATION_LEVEL, STATUS_INVALID_ACL, STATUS_INVALID_PARAMETER,
    STATUS_INVALID_SID, STATUS_UNKNOWN_REVISION, SYNCHRONIZE, UserMode, WRITE_DAC,
};

use super::capture::{read_descriptor, read_quality_of_service};
use super::{Ace, Acl, Descriptor, Sid, Token};
use crate::Executive;
use crate::solo::Solo;

fn someone() -> Sid {
    Sid::new(nt::SECURITY_NT_AUTHORITY, &[21, 1, 2, 3, 1001])
}

fn allowed(list: &Acl) -> vec::Vec<(Sid, u32, u8)> {
    list.aces
        .iter()
        .map(|ace| match ace {
            Ace::Known { flags, mask, sid, .. } => (sid.clone(), *mask, *flags),
            Ace::Opaque(bytes) => panic!("unexpected entry {bytes:?}"),
        })
        .collect()
}

#[test]
fn sids_print_and_parse() {
    assert_eq!(std::format!("{}", Sid::administrators()), "S-1-5-32-544");
    assert_eq!(std::format!("{}", Sid::world()), "S-1-1-0");
    let bytes = someone().to_bytes();
    assert_eq!(Sid::parse(&bytes), Some(someone()));
    assert_eq!(Sid::parse(&bytes[..bytes.len() - 1]), None);
    assert_eq!(Sid::parse(&[2, 0, 0, 0, 0, 0, 0, 5]), None);
}

#[test]
fn descriptors_survive_their_bytes() {
    let all = Descriptor {
        owner: Some(Sid::administrators()),
        group: Some(Sid::local_system()),
        dacl: Some(Some(Acl::new(vec![
            Ace::allow(Sid::world(), 0x1234),
            Ace::Opaque(vec![9, 0, 8, 0, 1, 2, 3, 4]),
        ]))),
        sacl: Some(None),
    };
    let bytes = all.to_self_relative();
    // SAFETY: a self-relative descriptor in a local.
    assert_eq!(unsafe { read_descriptor(bytes.as_ptr().cast()) }, Ok(all));
}

#[test]
fn damaged_descriptors_are_refused() {
    let good = Descriptor {
        owner: Some(someone()),
        dacl: Some(Some(Acl::new(vec![Ace::allow(Sid::world(), 1)]))),
        ..Descriptor::default()
    };
    let read = |change: fn(&mut vec::Vec<u8>)| {
        let mut bytes = good.to_self_relative();
        change(&mut bytes);
        // SAFETY: offsets stay inside the bytes.
        unsafe { read_descriptor(bytes.as_ptr().cast()) }.expect_err("refused")
    };
    assert_eq!(read(|bytes| bytes[0] = 2), STATUS_UNKNOWN_REVISION);
    // The access list comes first, the owner behind it.
    assert_eq!(read(|bytes| bytes[0x14] = 9), STATUS_INVALID_ACL);
    assert_eq!(
        read(|bytes| {
            let owner = bytes[4] as usize;
            bytes[owner] = 7;
        }),
        STATUS_INVALID_SID
    );
}

#[test]
fn the_public_default_descriptor_is_that_of_windows() {
    let executive = Executive::phase0(Solo::new(), Profile::DEFAULT).expect("up");
    let at = executive.SePublicDefaultSd();
    // SAFETY: the descriptor lives as long as the executive.
    let raw = unsafe { at.read() };
    assert_eq!((raw.Revision, raw.Control), (1, SE_DACL_PRESENT));
    assert!(raw.Owner.is_null() && raw.Group.is_null() && raw.Sacl.is_null());
    let block = executive.pool_block(raw.Dacl.addr()).expect("in pool");
    assert_eq!((block.tag, block.pool), (nt::tag::ACL, crate::PoolKind::Paged));
    // SAFETY: as above.
    let descriptor = unsafe { read_descriptor(at.cast()) }.expect("sound");
    let list = descriptor.dacl.flatten().expect("a list");
    assert_eq!(
        allowed(&list),
        [
            (Sid::world(), 0x2000_0000, 0),
            (Sid::local_system(), 0x1000_0000, 0),
            (Sid::administrators(), 0x1000_0000, 0)
        ]
    );
    let mapped = allowed(&list.mapped(&DIRECTORY_MAPPING));
    assert_eq!(mapped.iter().map(|ace| ace.1).collect::<vec::Vec<_>>(), [0x20003, 0xF000F, 0xF000F]);
}

#[test]
fn new_objects_get_the_tokens_defaults() {
    let descriptor = Descriptor::assign(None, &Token::system(), &CALLBACK_MAPPING);
    assert_eq!(descriptor.owner, Some(Sid::administrators()));
    let list = descriptor.dacl.flatten().expect("a list");
    assert_eq!(allowed(&list), [(Sid::local_system(), 0x1F_0001, 0), (Sid::administrators(), 0x12_0000, 0)]);
}

#[test]
fn access_is_decided_in_the_order_of_entries() {
    let token = Token::user(&someone());
    let deny = Ace::Known { kind: ACCESS_DENIED_ACE_TYPE, flags: 0, mask: DELETE, sid: someone() };
    let check = |aces: vec::Vec<Ace>, desired| {
        let descriptor = Descriptor { dacl: Some(Some(Acl::new(aces))), ..Descriptor::default() };
        token.access_check(&descriptor, desired, &CALLBACK_MAPPING)
    };
    let everyone = || Ace::allow(Sid::world(), GENERIC_ALL);
    assert_eq!(check(vec![everyone()], DELETE), Ok(DELETE));
    assert_eq!(check(vec![deny.clone(), everyone()], DELETE), Err(STATUS_ACCESS_DENIED));
    assert_eq!(check(vec![everyone(), deny.clone()], DELETE), Ok(DELETE));
    assert_eq!(check(vec![deny, everyone()], MAXIMUM_ALLOWED), Ok(0x1F_0001 & !DELETE));
    assert_eq!(check(vec![], SYNCHRONIZE), Err(STATUS_ACCESS_DENIED));
    assert_eq!(check(vec![everyone()], 0), Err(STATUS_ACCESS_DENIED), "nothing asked, nothing granted");
    let absent = Descriptor::default();
    assert_eq!(token.access_check(&absent, DELETE, &CALLBACK_MAPPING), Ok(DELETE));
}

#[test]
fn owners_may_always_read_and_write_the_list() {
    let token = Token::user(&someone());
    let descriptor =
        Descriptor { owner: Some(someone()), dacl: Some(Some(Acl::new(vec![]))), ..Descriptor::default() };
    let asked = READ_CONTROL | WRITE_DAC;
    assert_eq!(token.access_check(&descriptor, asked, &CALLBACK_MAPPING), Ok(asked));
}

#[test]
fn kernel_mode_holds_every_privilege() {
    let executive = Executive::phase0(Solo::new(), Profile::DEFAULT).expect("up");
    let user = executive.platform().user_process();
    executive.register_process(user, crate::ob::ProcessKind::Ordinary, 0x1000, Token::user(&someone()));
    assert!(
        executive.SeSinglePrivilegeCheck(SE_CREATE_PERMANENT_PRIVILEGE, UserMode),
        "the System token has it"
    );
    executive.platform().attach(user);
    assert!(!executive.SeSinglePrivilegeCheck(SE_CREATE_PERMANENT_PRIVILEGE, UserMode));
    assert!(executive.SeSinglePrivilegeCheck(SE_CREATE_PERMANENT_PRIVILEGE, nt::KernelMode));
}

#[test]
fn drivers_can_check_access_to_their_own() {
    let executive = Executive::phase0(Solo::new(), Profile::DEFAULT).expect("up");
    let user = executive.platform().user_process();
    executive.register_process(user, crate::ob::ProcessKind::Ordinary, 0x1000, Token::user(&someone()));
    let descriptor = executive.SePublicDefaultSd().cast_const().cast();
    let check = |desired, mode| {
        // SAFETY: the descriptor lives as long as the executive.
        unsafe { executive.SeAccessCheck(descriptor, desired, &DIRECTORY_MAPPING, mode) }
    };
    assert_eq!(check(nt::DIRECTORY_ALL_ACCESS, UserMode), Ok(nt::DIRECTORY_ALL_ACCESS), "as System");
    executive.platform().attach(user);
    assert_eq!(check(MAXIMUM_ALLOWED, UserMode), Ok(0x20003));
    assert_eq!(check(DELETE, UserMode), Err(STATUS_ACCESS_DENIED));
    assert_eq!(check(DELETE, nt::KernelMode), Ok(DELETE));
}

#[test]
fn qualities_of_service_are_checked() {
    let read = |level, tracking| {
        let quality = SECURITY_QUALITY_OF_SERVICE {
            Length: 12,
            ImpersonationLevel: level,
            ContextTrackingMode: tracking,
            EffectiveOnly: 0,
        };
        // SAFETY: a local.
        unsafe { read_quality_of_service((&raw const quality).cast()) }.map(drop)
    };
    assert_eq!(read(3, 1), Ok(()));
    assert_eq!(read(3, 2), Err(STATUS_INVALID_PARAMETER));
    assert_eq!(read(4, 0), Err(STATUS_BAD_IMPERSONATION_LEVEL));
}
