//! Whose code an address is: `module+offset`, and what can be said against it.

use std::collections::BTreeMap;

use record::{Anomaly, Severity, Value};

use super::kind::Kind;
use super::words::anomaly;
use crate::kernel::{Kernel, ModulesFoundBy};
use crate::memory::{Memory, MemoryExt as _};
use crate::modules::KernelModule;
use crate::pe::Pe;

/// Names from symbol files, where somebody has them.
pub trait Symbols: Sync {
    /// Gives the address of a kernel variable.
    fn global(&self, name: &str) -> Option<u64>;
    /// Gives the name of the routine at an address: `PopNewProcessorCallback`, with `+0x…` where it does not begin there.
    fn routine(&self, address: u64) -> Option<String>;
}

impl Symbols for () {
    fn global(&self, _: &str) -> Option<u64> {
        None
    }

    fn routine(&self, _: u64) -> Option<String> {
        None
    }
}

/// Where addresses lie.
pub(crate) struct Places<'k, 'i> {
    kernel: &'k Kernel<'i>,
    headers: BTreeMap<u64, Option<Pe>>,
    /// Names of what the kernel exports, by address; read when somebody asks.
    exports: Option<BTreeMap<u64, String>>,
}

impl<'k, 'i> Places<'k, 'i> {
    pub(crate) fn new(kernel: &'k Kernel<'i>) -> Self {
        Self { kernel, headers: BTreeMap::new(), exports: None }
    }

    /// Tells whether the list of loaded modules can be relied on to be complete.
    pub(crate) fn is_complete(&self) -> bool {
        matches!(
            self.kernel.modules_found_by,
            Some(ModulesFoundBy::Header | ModulesFoundBy::KernelData | ModulesFoundBy::Triage)
        ) && !self.kernel.notes.iter().any(|note| matches!(note, crate::KernelNote::ModuleList { .. }))
    }

    /// Tells whether an address lies in the kernel's own image.
    pub(crate) fn in_kernel(&self, address: u64) -> bool {
        match (&self.kernel.image, self.kernel.base) {
            (Some(image), _) => image.contains(address),
            (None, Some((base, _))) => {
                self.kernel.modules.iter().any(|module| module.base == base && module.contains(address))
            }
            (None, None) => true,
        }
    }

    /// Gives the short name of a module: `nt` for the kernel, otherwise its file name.
    pub(crate) fn short_name(&self, module: &KernelModule) -> String {
        if self.kernel.base.is_some_and(|(base, _)| base == module.base) {
            return "nt".to_owned();
        }
        match &module.name {
            Ok(name) => name.clone(),
            Err(_) => format!("<{:#x}>", module.base),
        }
    }

    /// Names a routine that the kernel exports. Only where the export begins: what lies behind one may be anything.
    pub(crate) fn export(&mut self, address: u64) -> Option<String> {
        let image = self.kernel.image.as_ref().filter(|image| image.contains(address))?;
        let memory = self.kernel.memory();
        let exports = self.exports.get_or_insert_with(|| {
            let exports = image.exports(memory).unwrap_or_default();
            exports.into_iter().map(|(rva, name)| (image.base.wrapping_add(u64::from(rva)), name)).collect()
        });
        exports.get(&address).cloned()
    }

    /// Gives `module+offset`, or why there is none.
    pub(crate) fn locate(&self, address: u64) -> Value<String> {
        if let Some(module) = self.kernel.module_of(address) {
            return Value::Known(format!("{}+{:#x}", self.short_name(module), address - module.base));
        }
        if self.kernel.modules.is_empty() {
            return Value::not_found("the list of loaded modules was not found");
        }
        if let Some(name) = self.unloaded(address) {
            return Value::not_found(format!("in no loaded module; `{name}` was loaded there once"));
        }
        Value::not_found("in no loaded module")
    }

    /// Says how the page of an address may be used: `; its page may be written and executed`.
    fn page(&self, address: u64) -> String {
        let Some(space) = self.kernel.space() else { return String::new() };
        match space.translate(address) {
            Ok(page) => {
                let may = match (page.writable, page.executable) {
                    (true, true) => "may be written and executed",
                    (true, false) => "may be written, not executed",
                    (false, true) => "may be executed, not written",
                    (false, false) => "may be neither written nor executed",
                };
                format!("; its page {may}")
            }
            Err(missing) => format!("; its page is {}", missing.why),
        }
    }

    /// Names the module that was loaded at an address and is no more.
    fn unloaded(&self, address: u64) -> Option<String> {
        let unloaded = self.kernel.unloaded.as_ref()?;
        let module = unloaded.iter().rev().find(|module| (module.start..module.end).contains(&address))?;
        Some(module.name.clone().unwrap_or_else(|missing| format!("<name {missing}>")))
    }

    /// Judges the address of a routine.
    pub(crate) fn judge(&mut self, routine: u64) -> Vec<Anomaly> {
        let mut found = Vec::new();
        if !self.is_complete() {
            return found;
        }
        let Some(module) = self.kernel.module_of(routine) else {
            let message = match self.unloaded(routine) {
                Some(name) => {
                    format!(
                        "the routine {routine:#x} lies in no loaded module; `{name}` was loaded there once"
                    )
                }
                None => format!("the routine {routine:#x} lies in no loaded module{}", self.page(routine)),
            };
            found.push(anomaly(Kind::RoutineOutsideModules, Severity::Warning, message, Some(routine)));
            return found;
        };
        let (base, name) = (module.base, self.short_name(module));
        let memory = self.kernel.memory();
        let headers = self.headers.entry(base).or_insert_with(|| Pe::read(memory, base).ok());
        if let Some(section) = headers.as_ref().and_then(|pe| pe.section((routine - base) as u32)) {
            if !section.is_executable() {
                found.push(anomaly(
                    Kind::RoutineOutsideCode,
                    Severity::Warning,
                    format!(
                        "the routine {name}+{:#x} lies in the section `{}`, which holds no code",
                        routine - base,
                        section.name
                    ),
                    Some(routine),
                ));
            } else if section.is_discardable() {
                found.push(anomaly(
                    Kind::RoutineInDiscardedCode,
                    Severity::Warning,
                    format!("the routine {name}+{:#x} lies in the section `{}`, which is given back after the start", routine - base, section.name),
                    Some(routine),
                ));
            }
        }
        if let Some(target) = jump(memory, routine)
            && self.kernel.module_of(target).is_none_or(|module| module.base != base)
        {
            let place = self.locate(target);
            let (severity, shown) = match &place {
                Value::Known(place) => (Severity::Note, place.clone()),
                Value::Absent { why, .. } => (Severity::Warning, format!("{target:#x}, {why}")),
            };
            found.push(anomaly(
                Kind::RoutineJumpsAway,
                severity,
                format!("the routine {name}+{:#x} begins with a jump to {shown}", routine - base),
                Some(routine),
            ));
        }
        found
    }
}

/// Tells where the code at an address jumps with its first instruction (or its first two, which load an address).
fn jump(memory: &dyn Memory, at: u64) -> Option<u64> {
    let code: [u8; 16] = memory.array(at).ok()?;
    let word = |index: usize| {
        i64::from(i32::from_le_bytes([code[index], code[index + 1], code[index + 2], code[index + 3]]))
    };
    let long = |index: usize| u64::from_le_bytes(std::array::from_fn(|byte| code[index + byte]));
    match code {
        [0xE9, ..] => Some(at.wrapping_add_signed(word(1) + 5)),
        [0xEB, short, ..] => Some(at.wrapping_add_signed(i64::from(short.cast_signed()) + 2)),
        [0xFF, 0x25, ..] => memory.u64(at.wrapping_add_signed(word(2) + 6)).ok(),
        // mov rax, imm64; jmp rax, or push rax; ret
        [0x48, 0xB8, .., 0xFF, 0xE0, _, _, _, _] | [0x48, 0xB8, .., 0x50, 0xC3, _, _, _, _] => Some(long(2)),
        // mov r11, imm64; jmp r11
        [0x49, 0xBB, .., 0x41, 0xFF, 0xE3, _, _, _] => Some(long(2)),
        _ => None,
    }
}
