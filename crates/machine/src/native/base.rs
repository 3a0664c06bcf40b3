//! A machine that is forked: what was done so far is done once, and any number of machines go on from there.
//!
//! A fork costs a copy of the kernel process's page tables instead of a start, a boot and what else was done. Each fork
//! has a kernel process of its own with a fresh event ring; what it does to its memory, no other fork and not the base ever
//! sees.

use std::time::Instant;

use record::What;

use super::Machine;
use super::machine::{BOOT_LIMIT, nonce};
use super::process::{Unforked, died};
use super::shared::Shared;
use crate::{Config, MachineError};

/// A machine that does nothing any more but fork.
#[derive(Debug)]
pub struct Base {
    machine: Machine,
}

impl Machine {
    /// Makes this machine the base of others.
    pub fn into_base(self) -> Base {
        Base { machine: self }
    }
}

impl Base {
    /// Forks a machine that goes on with `config`. Its stream begins with everything the base recorded.
    ///
    /// A fork of a base that was only booted goes the very way of a machine that is booted with `config`, event for
    /// event. Where the base has loaded drivers, what was chosen until then (cookies, the order of threads) stays chosen.
    ///
    /// # Errors
    ///
    /// [`MachineError::Config`] where `config` differs in what is settled at boot, [`MachineError::Start`] and
    /// [`MachineError::Refused`] where the host gives no process, [`MachineError::Ended`] where the base is no more.
    pub fn fork(&mut self, config: Config) -> Result<Machine, MachineError> {
        let started = Instant::now();
        let base = &mut self.machine;
        if base.config.parallel {
            let what = "a machine whose processors run at the same time cannot be forked";
            return Err(MachineError::Config(what.into()));
        }
        let settled = Config {
            seed: config.seed,
            schedule: config.schedule.clone(),
            faults: config.faults.clone(),
            timeout: config.timeout,
            trace_exports: config.trace_exports,
            event_limit: config.event_limit,
            ..base.config.clone()
        };
        if settled != config {
            let what = "a fork has the Windows version, the listeners and the event ring of its base";
            return Err(MachineError::Config(what.into()));
        }
        let (memory, shared) =
            Shared::create(config.ring_bytes / 8, nonce(started), &[]).map_err(MachineError::Start)?;
        let forked = base.process.fork(&config, &memory, shared, BOOT_LIMIT);
        let mut process = forked.map_err(|error| match error {
            Unforked::Host(error) => MachineError::Start(error),
            Unforked::Refused(why) => MachineError::Refused(why),
            Unforked::Ended if base.process.interrupted.is_some() => MachineError::Interrupted,
            Unforked::Ended => match base.process.stopped.and_then(|stopped| stopped.status) {
                Some(status) => {
                    died(Some(status)).killed_by().map_or(MachineError::Ended, MachineError::Killed)
                }
                None => MachineError::Ended,
            },
        })?;
        // Nothing before the end of the boot depends on the seed but the event that tells it.
        for event in &mut process.events {
            if let What::Booted { seed, .. } = &mut event.what {
                *seed = config.seed;
            }
        }
        Ok(Machine {
            process,
            config,
            started,
            modules: base.modules.clone(),
            images: base.images.clone(),
            known: base.known.clone(),
            drivers: base.drivers.clone(),
            build: base.build,
            trapping: base.trapping,
            untrapped: base.untrapped.clone(),
            run: base.run,
        })
    }

    /// Returns the settings of the base.
    pub fn config(&self) -> &Config {
        self.machine.config()
    }

    /// Returns the id of the base's kernel process.
    pub fn process_id(&self) -> u32 {
        self.machine.process_id()
    }

    /// Returns the machine, which is then like any other.
    pub fn into_machine(self) -> Machine {
        self.machine
    }
}
