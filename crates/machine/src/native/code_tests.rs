//! Tests of crossings and traps with machine code written by hand. Each runs in a kernel process of its own.

use std::time::Duration;

use record::{BugcheckRecord, Ending, What};

use super::Machine;
use super::exercise::Exercise;
use crate::wire::Command;
use crate::{Config, Outcome, plan};

/// Runs `code` as a driver's and returns everything about the run.
fn run(code: &[u8]) -> Outcome {
    perform(Exercise::Run(code.to_vec()))
}

fn perform(exercise: Exercise) -> Outcome {
    let config = Config { timeout: Duration::from_millis(1500), ..Config::default() };
    let mut machine = Machine::boot(config).unwrap_or_else(|error| panic!("{error}"));
    // Whether the machine survived is in the outcome.
    let _ = machine.ask(&Command::Exercise(exercise));
    let outcome = machine.finish();
    assert_eq!(outcome.tainted, Vec::<String>::new());
    assert_eq!(outcome.host_output, "");
    outcome
}

fn notes(outcome: &Outcome) -> Vec<&str> {
    outcome
        .events
        .iter()
        .filter_map(|event| match &event.what {
            What::Note { text, .. } => Some(text.as_str()),
            _ => None,
        })
        .collect()
}

/// Runs code that must come back, and returns its value.
fn value(code: &[u8]) -> u64 {
    let outcome = run(code);
    assert_eq!(outcome.ending, Ending::Finished);
    let returned = notes(&outcome).into_iter().find_map(|note| note.strip_prefix("returned 0x"));
    u64::from_str_radix(returned.expect("a value"), 16).unwrap()
}

/// Runs code that must end in a bugcheck.
fn bugcheck(code: &[u8]) -> BugcheckRecord {
    let outcome = run(code);
    let Ending::Bugcheck(record) = outcome.ending else { panic!("{:?}", outcome.ending) };
    // The stream ends with it, and nothing before is missing.
    let last = outcome.events.last().expect("events");
    assert_eq!(last.what, What::Bugcheck(record.clone()));
    assert!(outcome.events.iter().zip(0..).all(|(event, number)| event.sequence == number));
    *record
}

fn export(name: &str) -> [u8; 8] {
    let machine = Machine::boot(Config::default()).unwrap_or_else(|error| panic!("{error}"));
    let outcome = machine.finish();
    let kernel = &outcome.modules.0[0];
    let symbol = kernel.symbols.iter().find(|symbol| symbol.name == name).expect("an export");
    (kernel.base + u64::from(symbol.rva)).to_le_bytes()
}

/// Where the code lies.
const START: u64 = super::exercise::CODE;

#[test]
fn code_is_called_with_its_arguments_and_its_value_comes_back() {
    // lea rax, [rcx + rdx]; ret
    assert_eq!(value(b"\x48\x8d\x04\x11\xc3"), START + 2);
}

#[test]
fn the_stack_is_aligned_and_holds_the_return_address_and_home_space() {
    // lea rax, [rsp + 8]; and eax, 15; ret
    assert_eq!(value(b"\x48\x8d\x44\x24\x08\x83\xe0\x0f\xc3"), 0);
    // mov rax, rsp; ret
    let rsp = value(b"\x48\x89\xe0\xc3");
    assert!(plan::STACKS.contains(rsp), "{rsp:#x}");
}

#[test]
fn gs_leads_to_the_processor_and_the_current_thread() {
    // mov rax, gs:[0x18]; ret
    assert_eq!(value(b"\x65\x48\x8b\x04\x25\x18\0\0\0\xc3"), plan::PROCESSORS.base);
    // mov rax, gs:[0x188]; ret
    assert_eq!(value(b"\x65\x48\x8b\x04\x25\x88\x01\0\0\xc3"), plan::THREADS.base + plan::THREAD_STRIDE);
}

#[test]
fn an_export_is_served_and_preserves_what_windows_preserves() {
    let mut code = Vec::new();
    code.extend(b"\x56\x57\x48\x83\xec\x38"); // push rsi; push rdi; sub rsp, 0x38
    code.extend(b"\x0f\x29\x74\x24\x20"); // movaps [rsp + 0x20], xmm6
    code.extend(b"\xbe\x11\x11\x00\x00\xbf\x22\x22\x00\x00"); // mov esi, 0x1111; mov edi, 0x2222
    code.extend(b"\xb8\x33\x33\x00\x00\x66\x0f\x6e\xf0"); // mov eax, 0x3333; movd xmm6, eax
    code.extend(b"\x48\x8d\x0d"); // lea rcx, [rip + text]
    let at = code.len();
    code.extend([0; 4]);
    code.extend(b"\x48\xb8"); // mov rax, DbgPrint
    code.extend(export("DbgPrint"));
    code.extend(b"\xba\x07\x00\x00\x00\xff\xd0"); // mov edx, 7; call rax
    code.extend(b"\x66\x0f\x7e\xf0\x01\xf0\x01\xf8"); // movd eax, xmm6; add eax, esi; add eax, edi
    code.extend(b"\x0f\x28\x74\x24\x20\x48\x83\xc4\x38\x5f\x5e\xc3"); // movaps xmm6, …; add rsp; pop rdi; pop rsi; ret
    let text = code.len() - at - 4;
    code[at..at + 4].copy_from_slice(&(text as u32).to_le_bytes());
    code.extend(b"seven is %d\0");
    let outcome = run(&code);
    assert_eq!(outcome.ending, Ending::Finished);
    assert_eq!(notes(&outcome).last(), Some(&"returned 0x6666"));
    let print = outcome.events.iter().find_map(|event| match &event.what {
        What::DebugPrint { text, .. } => Some((text.as_str(), event.caller)),
        _ => None,
    });
    let (text, caller) = print.expect("a print");
    assert_eq!(text, "seven is 7");
    assert!(caller.is_some_and(|caller| caller > START && caller < START + 0x100));
}

#[test]
fn a_null_pointer_ends_in_an_unhandled_exception_with_all_the_facts() {
    // push rbx; mov ebx, 0x77; mov rax, [0]: 53 bb.. 48 8b 04 25 00000000
    let record = bugcheck(b"\x53\xbb\x77\0\0\0\x48\x8b\x04\x25\0\0\0\0\x5b\xc3");
    assert_eq!(record.code, 0x7E);
    assert_eq!(record.parameters[..2], [0xC000_0005, START + 6]);
    assert_eq!(record.at, Some(START + 6));
    assert_eq!(record.registers.unwrap().rbx, 0x77);
    let instruction = record.instruction.unwrap();
    assert!(instruction.starts_with("mov rax"), "{instruction}");
    assert!(record.reason.contains("null pointer"), "{}", record.reason);
}

#[test]
fn the_irql_decides_what_a_bad_pointer_is_called() {
    // mov eax, 2; mov cr8, rax; mov rax, [0x1000]
    let code = b"\xb8\x02\0\0\0\x44\x0f\x22\xc0\x48\x8b\x04\x25\x00\x10\0\0\xc3";
    let record = bugcheck(code);
    assert_eq!((record.code, record.parameters), (0xD1, [0x1000, 2, 0, START + 9]));
}

#[test]
fn a_kernel_address_where_nothing_is_is_a_page_fault_in_nonpaged_area() {
    // mov rax, [rcx - 0x10000000]; ret: in the middle of the arena, never handed out
    let record = bugcheck(b"\x48\x8b\x81\0\0\0\xf0\xc3");
    assert_eq!((record.code, record.parameters[0]), (0x50, START - 0x1000_0000));
}

#[test]
fn writing_to_the_kernel_image_is_a_write_to_read_only_memory() {
    let mut code = b"\x48\xb8".to_vec();
    code.extend((plan::KERNEL_IMAGE.base + 0x1000).to_le_bytes());
    code.extend(b"\xc6\x00\x90\xc3"); // mov byte [rax], 0x90
    let record = bugcheck(&code);
    assert_eq!((record.code, record.parameters[0]), (0xBE, plan::KERNEL_IMAGE.base + 0x1000));
}

#[test]
fn a_jump_into_nowhere_is_told_as_such() {
    // mov eax, 0x41414141; jmp rax
    let record = bugcheck(b"\xb8\x41\x41\x41\x41\xff\xe0");
    assert_eq!((record.code, record.parameters[..2].to_vec()), (0x7E, vec![0xC000_0005, 0x4141_4141]));
    assert!(record.reason.contains("executed 0x41414141"), "{}", record.reason);
}

#[test]
fn traps_have_their_own_status() {
    for (code, status) in [
        (b"\x0f\x0b".as_slice(), 0xC000_001D_u64), // ud2
        (b"\x31\xc9\xf7\xf1", 0xC000_0094),        // xor ecx, ecx; div ecx
        (b"\xcc", 0x8000_0003),                    // int3
        (b"\xcd\x2c", 0xC000_0420),                // int 2Ch
        (b"\xe4\x60", 0xC000_0096),                // in al, 0x60
        (b"\xb9\x99\0\0\0\x0f\x32", 0xC000_0096),  // mov ecx, 0x99; rdmsr
    ] {
        let record = bugcheck(code);
        assert_eq!((record.code, record.parameters[0]), (0x7E, status), "{code:x?}");
    }
    // mov ecx, 3; int 29h
    let record = bugcheck(b"\xb9\x03\0\0\0\xcd\x29");
    assert_eq!((record.code, record.parameters[0]), (0x139, 3));
}

#[test]
fn an_endless_recursion_is_a_double_fault() {
    // sub rsp, 0x100; call -12
    let record = bugcheck(b"\x48\x81\xec\0\x01\0\0\xe8\xf4\xff\xff\xff");
    assert_eq!((record.code, record.parameters[0]), (0x7F, 8));
}

#[test]
fn privileged_instructions_of_the_list_go_on() {
    // cli; sti; mov eax, 1; mov cr8, rax; mov rax, cr8; push rax; xor eax, eax; mov cr8, rax; pop rax; ret
    let code = b"\xfa\xfb\xb8\x01\0\0\0\x44\x0f\x22\xc0\x44\x0f\x20\xc0\x50\x31\xc0\x44\x0f\x22\xc0\x58\xc3";
    let outcome = run(code);
    assert_eq!(outcome.ending, Ending::Finished);
    assert_eq!(notes(&outcome).last(), Some(&"returned 0x1"));
    let emulated: Vec<_> = outcome
        .events
        .iter()
        .filter_map(|event| match &event.what {
            What::Emulated { what, at } => Some((what.as_str(), *at - START)),
            _ => None,
        })
        .collect();
    let expected = [("cli", 0), ("sti", 1), ("mov with cr8", 7), ("mov with cr8", 11), ("mov with cr8", 18)];
    assert_eq!(emulated, expected);
}

#[test]
fn a_trap_is_a_scheduling_point_and_changes_no_register() {
    let mut code = Vec::new();
    code.extend(b"\xb9\x11\x11\0\0\xba\x22\x22\0\0\x41\xb8\x33\x33\0\0"); // mov ecx, 0x1111; edx, 0x2222; r8d, 0x3333
    code.extend(b"\xb8\x44\x44\0\0\x66\x0f\x6e\xe8\x31\xc0"); // mov eax, 0x4444; movd xmm5, eax; xor eax, eax
    code.extend(b"\xf9\x45\x0f\x20\xc1\x0f\x92\xc0"); // stc; mov r9, cr8; setc al
    code.extend(b"\x01\xc8\x01\xd0\x44\x01\xc0"); // add eax, ecx; add eax, edx; add eax, r8d
    code.extend(b"\x66\x0f\x7e\xe9\x01\xc8\xc3"); // movd ecx, xmm5; add eax, ecx; ret
    let outcome = run(&code);
    assert_eq!(notes(&outcome).last(), Some(&"returned 0xaaab"));
    // Time passed at the trap, as it does at an export.
    let time = |wanted: fn(&What) -> bool| {
        outcome.events.iter().find(|event| wanted(&event.what)).map(|event| event.time)
    };
    let trapped = time(|what| matches!(what, What::Emulated { .. })).expect("a trap");
    assert_eq!(time(|what| matches!(what, What::Note { .. })), Some(trapped + 1));
}

#[test]
fn shared_user_data_answers() {
    // mov rax, 0xFFFFF78000000260; mov eax, [rax]; ret
    let mut code = b"\x48\xb8".to_vec();
    code.extend((plan::KUSER_SHARED_DATA + 0x260).to_le_bytes());
    code.extend(b"\x8b\x00\xc3");
    assert_eq!(value(&code), 26100);
    // … cmp dword [rax], 26100; sete al; movzx eax, al; ret
    let mut code = b"\x48\xb8".to_vec();
    code.extend((plan::KUSER_SHARED_DATA + 0x260).to_le_bytes());
    code.extend(b"\x81\x38\xf4\x65\0\0\x0f\x94\xc0\x0f\xb6\xc0\xc3");
    assert_eq!(value(&code), 1);
}

#[test]
fn shared_user_data_can_be_read_into_a_vector_register() {
    let mut code = b"\x48\xb8".to_vec();
    code.extend((plan::KUSER_SHARED_DATA + 0x260).to_le_bytes());
    code.extend(b"\xf3\x0f\x6f\x18\x66\x0f\x7e\xd8\xc3"); // movdqu xmm3, [rax]; movd eax, xmm3; ret
    assert_eq!(value(&code), 26100);
}

#[test]
fn an_endless_loop_in_driver_code_is_told_with_its_address() {
    let outcome = run(b"\x90\xeb\xfd"); // nop; jmp to it
    let Ending::Hang(hang) = outcome.ending else { panic!("{:?}", outcome.ending) };
    assert!(!hang.deadlock);
    assert!(hang.at.is_some_and(|at| at == START || at == START + 1), "{hang:?}");
}

#[test]
fn a_wait_that_nobody_can_end_is_found_at_once() {
    let started = std::time::Instant::now();
    let outcome = perform(Exercise::Wait);
    let Ending::Hang(hang) = outcome.ending else { panic!("{:?}", outcome.ending) };
    assert!(hang.deadlock);
    assert_eq!(hang.details, ["thread 8 waits without a limit"]);
    assert!(started.elapsed() < Duration::from_secs(1), "long before the limit");
}

#[test]
fn threads_take_turns_by_the_virtual_clock_and_sleep_costs_nothing() {
    let outcome = perform(Exercise::TakeTurns);
    assert_eq!(outcome.ending, Ending::Finished);
    assert_eq!(notes(&outcome), ["a0", "b0", "b1", "a1", "b2", "a2"]);
}
