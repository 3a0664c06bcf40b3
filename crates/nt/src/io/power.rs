//! What a PowerState notify tells in its first argument.

macro_rules! po_cb {
    ($($(#[doc = $doc:literal])* $name:ident = $value:literal,)*) => {
        $( $(#[doc = $doc])* pub const $name: u32 = $value; )*

        /// Names the first argument of a PowerState notify.
        #[must_use]
        pub const fn po_cb_name(value: u32) -> Option<&'static str> {
            match value {
                $( $value => Some(stringify!($name)), )*
                _ => None,
            }
        }
    };
}

po_cb! {
    /// PowerState: the power policy changed.
    PO_CB_SYSTEM_POWER_POLICY = 0,
    /// PowerState: mains or battery.
    PO_CB_AC_STATUS = 1,
    /// PowerState: obsolete.
    PO_CB_BUTTON_COLLISION = 2,
    /// PowerState: about to leave the working state, or back in it.
    PO_CB_SYSTEM_STATE_LOCK = 3,
    /// PowerState: the lid was opened or closed.
    PO_CB_LID_SWITCH_STATE = 4,
    /// PowerState: the processor power policy changed.
    PO_CB_PROCESSOR_POWER_POLICY = 5,
}
