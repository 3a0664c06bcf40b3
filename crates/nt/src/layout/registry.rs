//! Every layout of the crate in one table, gathered at compile time from the modules.

use super::Layout;
use crate::{alpc, ex, io, ke, mm, ntdef, ob, ps, se};

const PARTS: &[&[&Layout]] = &[
    ntdef::LAYOUTS,
    ke::PARTS[0],
    ke::PARTS[1],
    ke::PARTS[2],
    ke::PARTS[3],
    ke::PARTS[4],
    mm::LAYOUTS,
    se::LAYOUTS,
    ob::PARTS[0],
    ob::PARTS[1],
    ob::PARTS[2],
    ob::PARTS[3],
    ex::LAYOUTS,
    io::PARTS[0],
    io::PARTS[1],
    ps::LAYOUTS,
    alpc::LAYOUTS,
];

const COUNT: usize = {
    let mut count = 0;
    let mut part = 0;
    while part < PARTS.len() {
        count += PARTS[part].len();
        part += 1;
    }
    count
};

const TABLE: [&Layout; COUNT] = {
    let mut table = [PARTS[0][0]; COUNT];
    let mut filled = 0;
    let mut part = 0;
    while part < PARTS.len() {
        let mut index = 0;
        while index < PARTS[part].len() {
            table[filled] = PARTS[part][index];
            filled += 1;
            index += 1;
        }
        part += 1;
    }
    table
};

/// Lists every structure this crate knows, module by module (`ntdef`, `ke`, `mm`, `se`, `ob`, `ex`, `io`, `ps`, `alpc`).
pub const ALL: &[&Layout] = &TABLE;
