//! Lists of system calls to programs for the kernel's filter, made while the plan is loaded: neither PID 1 nor a start
//! has to do it.

use std::collections::BTreeMap;

use rootspec::compile::{Compiled, Problem, Severity};
use rootspec::plan::{Unit, Work};
use rootspec::setup::Filter;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};

/// First number of x86-64's second table of calls (x32, `asm/unistd.h`), by which a list of refused ones could be
/// passed by.
const SECOND_TABLE: u32 = 0x4000_0000;

/// Fills in the programs of all filters. What cannot be compiled is said in the plan's problems; its unit has no
/// program and does not start.
pub(crate) fn compile_all(compiled: &mut Compiled) {
    let mut wrong = Vec::new();
    for unit in &mut compiled.plan.units {
        let name = unit.name.clone();
        let Some(filter) = filter_of(unit) else {
            continue;
        };
        match compile(filter) {
            Ok(program) => filter.program = program,
            Err(why) => wrong.push((name, format!("this filter cannot be compiled: {why}"))),
        }
    }
    for (unit, words) in wrong {
        let spot = compiled.spot(&unit, "sandbox.seccomp", &words);
        compiled.problems.push(Problem {
            severity: Severity::Error,
            unit: Some(unit),
            spot,
        });
    }
}

fn filter_of(unit: &mut Unit) -> Option<&mut Filter> {
    match &mut unit.work {
        Work::Service(exec) | Work::Oneshot(exec) => exec.setup.as_mut()?.sandbox.filter.as_mut(),
        Work::Group | Work::Container(_) => None,
    }
}

/// One number per instruction: code, two jumps and operand from high to low (`struct sock_filter`).
fn compile(filter: &Filter) -> Result<Vec<u64>, String> {
    let refused = match filter.errno {
        Some(number) => SeccompAction::Errno(u32::from(number)),
        None => SeccompAction::KillProcess,
    };
    let (others, named) = if filter.named_are_allowed {
        (refused.clone(), SeccompAction::Allow)
    } else {
        (SeccompAction::Allow, refused.clone())
    };
    let rules: BTreeMap<i64, Vec<_>> = filter
        .calls
        .iter()
        .map(|call| (i64::from(*call), Vec::new()))
        .collect();
    let machine = std::env::consts::ARCH
        .try_into()
        .map_err(|error| format!("{error}"))?;
    let filter = SeccompFilter::new(rules, others, named, machine).map_err(|e| e.to_string())?;
    let program: BpfProgram = filter
        .try_into()
        .map_err(|e: seccompiler::BackendError| e.to_string())?;
    let pack = |code: u16, jt: u8, jf: u8, k: u32| {
        u64::from(code) << 48 | u64::from(jt) << 40 | u64::from(jf) << 32 | u64::from(k)
    };
    let mut packed = Vec::new();
    if cfg!(target_arch = "x86_64") {
        // Load the number; if it is of the second table, refuse (BPF_LD|BPF_W|BPF_ABS, BPF_JMP|BPF_JGE|BPF_K,
        // BPF_RET|BPF_K of linux/bpf_common.h).
        packed.push(pack(0x20, 0, 0, 0));
        packed.push(pack(0x35, 0, 1, SECOND_TABLE));
        packed.push(pack(0x06, 0, 0, u32::from(refused)));
    }
    packed.extend(program.iter().map(|i| pack(i.code, i.jt, i.jf, i.k)));
    Ok(packed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_becomes_a_program_that_ends_with_its_verdict() {
        let filter = Filter {
            named_are_allowed: true,
            calls: vec![0, 1, 60],
            errno: Some(38),
            log: false,
            program: Vec::new(),
        };
        let program = compile(&filter).unwrap();
        // SECCOMP_RET_ERRNO with ENOSYS.
        assert_eq!(
            program.last().map(|last| last & 0xffff_ffff),
            Some(0x0005_0026)
        );
        let most = Filter {
            calls: (0..2000).collect(),
            ..filter
        };
        assert!(compile(&most).is_err());
    }
}
