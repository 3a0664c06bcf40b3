//! `SeExports`: well-known privileges and identities, as one structure.
//!
//! Models `SE_EXPORTS` of `ntifs.h` up to `SeOwnerRightsSid`; what newer versions have behind it is not there.

use crate::guest::{Guest, GuestSlice};
use crate::kernel::Kernel;

/// A member: the number of a privilege, or an identity.
#[derive(Clone, Copy)]
enum Member {
    Privilege(u32),
    Identity(u8, &'static [u32]),
}

use Member::{Identity, Privilege};

/// Bytes of the longest identity, `S-1-5-32-544`.
const IDENTITY: usize = 16;

#[rustfmt::skip]
const MEMBERS: &[Member] = &[
    // SeCreateToken, SeAssignPrimaryToken, SeLockMemory, SeIncreaseQuota, SeUnsolicitedInput, SeTcb, SeSecurity
    Privilege(2), Privilege(3), Privilege(4), Privilege(5), Privilege(6), Privilege(7), Privilege(8),
    // SeTakeOwnership, SeLoadDriver, SeCreatePagefile, SeIncreaseBasePriority, SeSystemProfile, SeSystemtime
    Privilege(9), Privilege(10), Privilege(15), Privilege(14), Privilege(11), Privilege(12),
    // SeProfileSingleProcess, SeCreatePermanent, SeBackup, SeRestore, SeShutdown, SeDebug, SeAudit
    Privilege(13), Privilege(16), Privilege(17), Privilege(18), Privilege(19), Privilege(20), Privilege(21),
    // SeSystemEnvironment, SeChangeNotify, SeRemoteShutdown
    Privilege(22), Privilege(23), Privilege(24),
    // SeNullSid, SeWorldSid, SeLocalSid, SeCreatorOwnerSid, SeCreatorGroupSid, SeNtAuthoritySid
    Identity(0, &[0]), Identity(1, &[0]), Identity(2, &[0]), Identity(3, &[0]), Identity(3, &[1]), Identity(5, &[]),
    // SeDialupSid, SeNetworkSid, SeBatchSid, SeInteractiveSid, SeLocalSystemSid
    Identity(5, &[1]), Identity(5, &[2]), Identity(5, &[3]), Identity(5, &[4]), Identity(5, &[18]),
    // SeAliasAdminsSid, SeAliasUsersSid, SeAliasGuestsSid, SeAliasPowerUsersSid
    Identity(5, &[32, 544]), Identity(5, &[32, 545]), Identity(5, &[32, 546]), Identity(5, &[32, 547]),
    // SeAliasAccountOpsSid, SeAliasSystemOpsSid, SeAliasPrintOpsSid, SeAliasBackupOpsSid
    Identity(5, &[32, 548]), Identity(5, &[32, 549]), Identity(5, &[32, 550]), Identity(5, &[32, 551]),
    // SeAuthenticatedUsersSid, SeRestrictedSid, SeAnonymousLogonSid
    Identity(5, &[11]), Identity(5, &[12]), Identity(5, &[7]),
    // SeUndock, SeSyncAgent, SeEnableDelegation, SeLocalServiceSid, SeNetworkServiceSid
    Privilege(25), Privilege(26), Privilege(27), Identity(5, &[19]), Identity(5, &[20]),
    // SeManageVolume, SeImpersonate, SeCreateGlobal, SeTrustedCredManAccess, SeRelabel, SeIncreaseWorkingSet
    Privilege(28), Privilege(29), Privilege(30), Privilege(31), Privilege(32), Privilege(33),
    // SeTimeZone, SeCreateSymbolicLink, SeIUserSid
    Privilege(34), Privilege(35), Identity(5, &[17]),
    // SeUntrustedMandatorySid, SeLowMandatorySid, SeMediumMandatorySid, SeHighMandatorySid, SeSystemMandatorySid
    Identity(16, &[0]), Identity(16, &[0x1000]), Identity(16, &[0x2000]), Identity(16, &[0x3000]), Identity(16, &[0x4000]),
    // SeOwnerRightsSid
    Identity(3, &[4]),
];

/// Makes the structure in the kernel image and writes its address into the variable.
pub(crate) fn initialize(k: &Kernel, at: Guest<u64>) {
    let bytes = MEMBERS.len() * (8 + IDENTITY);
    let block = k.host().data(bytes, 16).as_ptr().expose_provenance() as u64;
    let words = GuestSlice::<u64>::new(k, block, MEMBERS.len());
    let mut identity = block + 8 * MEMBERS.len() as u64;
    for (index, member) in MEMBERS.iter().enumerate() {
        match member {
            Privilege(number) => words.at(index).write(u64::from(*number)),
            Identity(authority, parts) => {
                let head = [nt::SID_REVISION, parts.len() as u8, 0, 0, 0, 0, 0, *authority];
                GuestSlice::new(k, identity, head.len()).fill_from(&head);
                GuestSlice::new(k, identity + head.len() as u64, parts.len()).fill_from(parts);
                words.at(index).write(identity);
                identity += IDENTITY as u64;
            }
        }
    }
    at.write(block);
}
